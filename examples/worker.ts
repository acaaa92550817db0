// Works on tasks of a directory until Ctrl-C: node --conditions=to-source examples/worker.ts [directory]
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, Worker } from '@task-orchestrator/client';

const { TORC_URL = 'http://localhost:8080', TORC_API_KEY } = process.env;

const worker = new Worker({
  client: createClient({ url: TORC_URL.split(','), apiKey: TORC_API_KEY }),
  workPath: process.argv[2] ?? '/srv/repo',
  concurrency: 4,
  handler: async (task, { signal, progress, log }) => {
    log(`starting on: ${task.prompt}`);
    for (let percent = 0; percent < 100; percent += 25) {
      progress(percent);
      await sleep(250, undefined, { signal });
    }
    return { output: `done: ${task.prompt}` };
  },
  onError: (error, { doing, task }) => console.error(doing, task?.task_id ?? '', error),
});

for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => void worker.stop());
await worker.run();
