// Keeps a server hardly busy until it is ended: idle.ts '<json config>'. Prints @@{} once all is under way.
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from '@task-orchestrator/client';
import { aPayload } from './queue.ts';

export interface IdleConfig {
  readonly url: string;
  readonly apiKey: string;
  /** Workers that wait for a task of their own directory. */
  readonly polls: number;
  /** Single calls, a third of them each: create, next, complete. */
  readonly callsPerSecond: number;
  /** How long all of that goes on before it counts. */
  readonly settleMs: number;
}

const WAIT_SECONDS = 30;

if (import.meta.main) {
  const { url, apiKey, polls, callsPerSecond, settleMs } = JSON.parse(process.argv[2] ?? '{}') as IdleConfig;
  const client = createClient({ url, apiKey });
  for (let index = 0; index < polls; index++) {
    // As after a long time: the ends of the polls are spread evenly.
    void poll(client, index, Math.max(5, (WAIT_SECONDS * (index + 1)) / polls));
    if (index % 50 === 0) await sleep(20);
  }
  if (callsPerSecond > 0) void callForever(client, callsPerSecond);
  await sleep(settleMs);
  process.stdout.write('@@{}\n');
}

async function poll(client: Client, index: number, firstWaitSeconds: number): Promise<void> {
  const ask = { worker_id: `idle-${index}`, work_path: `/idle/repo-${index}` };
  for (let wait_seconds = firstWaitSeconds; ; wait_seconds = WAIT_SECONDS)
    await client.tasks.acquire({ ...ask, wait_seconds });
}

async function callForever(client: Client, perSecond: number): Promise<void> {
  const startedAt = performance.now();
  for (let call = 0; ; call += 3) {
    await sleep(Math.max(0, startedAt + (call * 1000) / perSecond - performance.now()));
    await liveOnce(client, call, 1000 / perSecond);
  }
}

/** Three calls, each at its own time. */
async function liveOnce(client: Client, index: number, everyMs: number): Promise<void> {
  const { work_directory, prompt } = aPayload(index);
  const startedAt = performance.now();
  const untilCall = (call: number) => sleep(Math.max(0, startedAt + call * everyMs - performance.now()));
  await client.tasks.create({ work_directory, prompt });
  await untilCall(1);
  const task = await client.tasks.next({ work_path: work_directory, worker_id: 'paced' });
  if (!task) throw new Error('the task that was just created is not there');
  await untilCall(2);
  await client.tasks.complete({ task_id: task.task_id, lease_token: task.lease_token, result: { output: 'done' } });
}
