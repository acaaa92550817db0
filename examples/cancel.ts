// A cancel that reaches the running handler: node --conditions=to-source examples/cancel.ts
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, TaskCancelledError, Worker } from '@task-orchestrator/client';

const { TORC_URL = 'http://localhost:8080', TORC_API_KEY } = process.env;
const work_directory = '/examples/cancel';
const client = createClient({ url: TORC_URL, apiKey: TORC_API_KEY });

const { promise: started, resolve: start } = Promise.withResolvers<void>();
const { promise: abortedAt, resolve: abort } = Promise.withResolvers<number>();

const worker = new Worker({
  client,
  workPath: work_directory,
  handler: async (_task, { signal }) => {
    signal.addEventListener('abort', () => {
      if (signal.reason instanceof TaskCancelledError) console.log(`the handler hears: ${signal.reason.reason}`);
      abort(performance.now());
    });
    start();
    // Give the signal to whatever the handler waits for: fetch, a child process, a timer. It throws when aborted,
    // and that tells the server that the work has ended.
    await sleep(60_000, undefined, { signal });
  },
});
void worker.run();

const { task_id } = await client.tasks.create({ work_directory, prompt: 'Refactor everything' });
await started;
await sleep(1000);

const askedAt = performance.now();
const { status } = await client.tasks.cancel({ task_id, reason: 'the plan has changed' });
console.log(`cancel asked for; the task is still ${status}`);
const seconds = ((await abortedAt) - askedAt) / 1000;

const { finished } = await client.tasks.waitFor([task_id], { timeoutSeconds: 10 });
await worker.stop();
console.log(`the task is ${finished[0]?.status}`);
console.log(seconds < 1 ? 'heard within a second' : `heard after ${seconds.toFixed(1)} s`);
process.exitCode = finished[0]?.status === 'cancelled' ? 0 : 1;
