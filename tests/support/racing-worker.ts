// A worker process for the races: does short tasks through the SDK and tells its parent what the server has answered.
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, Worker, type AcquiredTask } from '@task-orchestrator/client';
import { createRandom } from './random-numbers.ts';
import { recordAnswers } from './record-answers.ts';

export interface RacingWorkerOptions {
  url: string;
  apiKey: string;
  workerId: string;
  seed: number;
  concurrency: number;
  leaseSeconds: number;
  /** How long a task takes, in milliseconds. */
  taskMs: { least: number; most: number };
}

export type RacingWorkerMessage =
  | { type: 'acquired'; leases: Pick<AcquiredTask, 'task_id' | 'lease_token' | 'lease_epoch' | 'lease_expires_at'>[] }
  | { type: 'renewed'; lease_token: string; lease_expires_at: string }
  | { type: 'completed'; task_id: string; lease_token: string }
  | { type: 'refused'; task_id: string; lease_token: string; code: string };

const options = JSON.parse(process.argv[2] ?? '') as RacingWorkerOptions;
const random = createRandom(options.seed);

const client = recordAnswers(createClient({ url: options.url, apiKey: options.apiKey }), {
  onAcquired: (tasks) => tell({ type: 'acquired', leases: tasks.map(toLease) }),
  onRenewed: (lease) => tell({ type: 'renewed', ...lease }),
  onCompleted: (completion) => tell({ type: 'completed', ...completion }),
  onRefused: (completion) => tell({ type: 'refused', ...completion }),
});

const worker = new Worker({
  client,
  workerId: options.workerId,
  concurrency: options.concurrency,
  leaseSeconds: options.leaseSeconds,
  async handler(_task, { leaseToken, leaseEpoch }) {
    await pause(random.integer(options.taskMs.least, options.taskMs.most));
    return { output: { leaseToken, leaseEpoch } };
  },
});
// A worker without its parent is a leak.
process.once('disconnect', () => process.exit());
await worker.run();

function tell(message: RacingWorkerMessage): void {
  process.send?.(message);
}

function toLease({ task_id, lease_token, lease_epoch, lease_expires_at }: AcquiredTask) {
  return { task_id, lease_token, lease_epoch, lease_expires_at };
}
