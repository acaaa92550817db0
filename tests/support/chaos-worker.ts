// A worker process for the chaos test: knows several servers, and tells its parent which of its completions were taken.
import { createClient, Worker } from '@task-orchestrator/client';
import { recordAnswers } from './record-answers.ts';

export interface ChaosWorkerOptions {
  urls: readonly string[];
  apiKey: string;
  workerId: string;
  concurrency: number;
  leaseSeconds: number;
}

export type ChaosWorkerMessage = readonly { task_id: string; lease_token: string }[];

const options = JSON.parse(process.argv[2] ?? '') as ChaosWorkerOptions;
const client = createClient({
  url: options.urls,
  apiKey: options.apiKey,
  retry: { attempts: 1000, minDelaySeconds: 0.02, maxDelaySeconds: 0.2 },
});

const completed: { task_id: string; lease_token: string }[] = [];
const worker = new Worker({
  client: recordAnswers(client, { onCompleted: (completion) => completed.push(completion) }),
  workerId: options.workerId,
  concurrency: options.concurrency,
  leaseSeconds: options.leaseSeconds,
  handler: (_task, { leaseToken, leaseEpoch }) => ({ output: { leaseToken, leaseEpoch } }),
});
// A worker without its parent is a leak.
process.once('disconnect', () => process.exit());
setInterval(() => {
  if (completed.length > 0) process.send?.(completed.splice(0) satisfies ChaosWorkerMessage);
}, 50);
await worker.run();
