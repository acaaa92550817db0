// Its client runs on Bun only.
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bunqueue/client';

export async function open({ port, batch }) {
  const where = { connection: { host: '127.0.0.1', port } };
  const queue = new Queue('bench', where);
  const opts = { durable: true };
  await queue.waitUntilReady?.();
  return {
    add: (payload) => queue.add('job', payload, opts),
    addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'job', data, opts }))),
    // Not measured, so through its buffer, which is written after 10 ms.
    fill: (payloads) => queue.addBulk(payloads.map((data) => ({ name: 'job', data }))),
    afterFill: () => sleep(1000),
    async work({ concurrency, onStart, onDone }) {
      const options = { ...where, concurrency, ...(batch && { batchSize: batch }) };
      const worker = new Worker('bench', async (job) => onStart(job.data), options);
      worker.on('completed', onDone);
    },
    async remaining() {
      const { waiting, active, prioritized } = await (queue.getJobCountsAsync?.() ?? queue.getJobCounts());
      return waiting + active + prioritized;
    },
  };
}
