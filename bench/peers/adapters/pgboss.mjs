import pg from 'pg';
import { PgBoss } from 'pg-boss';

export async function open({ port, notify = false, workOptions }) {
  const connectionString = `postgres://postgres@127.0.0.1:${port}/bench`;
  const boss = new PgBoss({ connectionString, max: 10, useListenNotify: notify });
  boss.on('error', (error) => console.error(error.message));
  await boss.start();
  await boss.createQueue('bench', { notify });
  const pool = new pg.Pool({ connectionString, max: 1 });
  return {
    add: (payload) => boss.send('bench', payload),
    addMany: (payloads) =>
      boss.insert(
        'bench',
        payloads.map((data) => ({ data })),
      ),
    afterFill: () => pool.query('VACUUM ANALYZE'),
    async work({ concurrency, onStart, onDone }) {
      // A batch handler is how it runs many jobs at once; one statement completes the batch after the handler.
      const options = workOptions ?? { batchSize: concurrency, localConcurrency: 1, burstWhenBatchFull: true };
      await boss.work('bench', options, async (jobs) => {
        for (const { data } of jobs) {
          onStart(data);
          onDone();
        }
      });
    },
    async remaining() {
      const { rowCount } = await pool.query(
        "SELECT 1 FROM pgboss.job WHERE name = 'bench' AND state < 'completed' LIMIT 1",
      );
      return rowCount;
    },
  };
}
