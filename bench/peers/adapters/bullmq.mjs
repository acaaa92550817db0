import { Queue, Worker } from 'bullmq';

export async function open({ port }) {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const queue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  return {
    add: (payload) => queue.add('job', payload),
    addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'job', data }))),
    async work({ concurrency, onStart, onDone }) {
      const worker = new Worker('bench', async (job) => onStart(job.data), { connection, concurrency, autorun: false });
      worker.on('completed', onDone);
      worker.on('error', (error) => console.error(error.message));
      await worker.waitUntilReady();
      void worker.run();
    },
    async remaining() {
      const { wait, active } = await queue.getJobCounts('wait', 'active');
      return wait + active;
    },
  };
}
