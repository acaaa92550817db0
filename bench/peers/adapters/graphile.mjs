import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';

const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});

export async function open({ port, worker = {} }) {
  const connectionString = `postgres://postgres@127.0.0.1:${port}/bench`;
  const pool = new pg.Pool({ connectionString, max: 10 });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  await utils.migrate();
  return {
    add: (payload) => utils.addJob('bench', payload),
    addMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: 'bench', payload }))),
    afterFill: () => pool.query('VACUUM ANALYZE'),
    async work({ concurrency, onStart, onDone }) {
      await run({
        preset: { worker: { connectionString, concurrentJobs: concurrency, maxPoolSize: 10, ...worker } },
        logger,
        noHandleSignals: true,
        taskList: {
          async bench(payload) {
            onStart(payload);
            onDone();
          },
        },
      });
    },
    async remaining() {
      const { rowCount } = await pool.query('SELECT 1 FROM graphile_worker._private_jobs LIMIT 1');
      return rowCount;
    },
  };
}
