import { join } from 'node:path';
import Database from 'better-sqlite3';
import { better, defineQueue, defineWorker } from 'plainjob';

const ignore = () => {};
const logger = { error: console.error, warn: ignore, info: ignore, debug: ignore };

export async function open({ dir, poll, scenario }) {
  const database = new Database(join(dir, 'q.db'));
  const queue = defineQueue({ connection: better(database), logger });
  // After its own pragmas, which say WAL and NORMAL.
  database.pragma('synchronous = FULL');
  return {
    async add(payload) {
      queue.add('bench', payload);
    },
    async addMany(payloads) {
      queue.addMany('bench', payloads);
    },
    async work({ concurrency, onStart, onDone }) {
      // It has no option for concurrency; 64 pollers would only delay the pickup on an idle system.
      for (let count = scenario === 'pickup' ? 1 : concurrency; count > 0; count--) {
        const options = { queue, logger, onCompleted: onDone, pollIntervall: poll };
        void defineWorker('bench', async (job) => onStart(JSON.parse(job.data)), options).start();
      }
    },
    async remaining() {
      return queue.countJobs({ status: 0 }) + queue.countJobs({ status: 1 });
    },
  };
}
