// A worker process whose handler heeds no signal: it holds its task and calls the server only when its parent says so.
import { createClient, OrchestratorError, Worker, type AcquiredTask } from '@task-orchestrator/client';

export interface CommandedWorkerOptions {
  url: string;
  apiKey: string;
  workerId: string;
  leaseSeconds: number;
}

export type Command = 'heartbeat' | 'progress' | 'log' | 'complete' | 'fail' | 'release';

export type CommandedWorkerMessage =
  | { type: 'began'; task_id: string; lease_epoch: number }
  /** The SDK has told the handler to stop. */
  | { type: 'aborted'; reason: string }
  /** `code` is that of the refusal. */
  | { type: 'answered'; command: Command; code: string | null };

const options = JSON.parse(process.argv[2] ?? '') as CommandedWorkerOptions;
const client = createClient({ url: options.url, apiKey: options.apiKey });

const worker = new Worker({
  client,
  workerId: options.workerId,
  leaseSeconds: options.leaseSeconds,
  handler(task, { signal }) {
    signal.addEventListener('abort', () => tell({ type: 'aborted', reason: (signal.reason as Error).name }));
    process.on('message', (command: Command) => void obey(task, command));
    tell({ type: 'began', task_id: task.task_id, lease_epoch: task.lease_epoch });
    return new Promise(() => {});
  },
});
// A worker without its parent is a leak.
process.once('disconnect', () => process.exit());
await worker.run();

async function obey(task: AcquiredTask, command: Command): Promise<void> {
  try {
    await call(task, command);
    tell({ type: 'answered', command, code: null });
  } catch (error) {
    tell({ type: 'answered', command, code: error instanceof OrchestratorError ? error.code : String(error) });
  }
}

async function call({ task_id, lease_token }: AcquiredTask, command: Command): Promise<unknown> {
  const claim = { task_id, lease_token };
  const by = options.workerId;
  switch (command) {
    case 'heartbeat':
      return client.tasks.heartbeat(claim);
    case 'progress':
      return client.tasks.heartbeat({ ...claim, progress: { percent: 50, message: `half way, says ${by}` } });
    case 'log':
      return client.tasks.appendLog({ ...claim, entries: [{ text: `a line of ${by}` }] });
    case 'complete':
      return client.tasks.complete({ ...claim, result: { output: `done by ${by}` } });
    case 'fail':
      return client.tasks.fail({ ...claim, error: { message: `failed by ${by}` } });
    case 'release':
      return client.tasks.release(claim);
  }
}

function tell(message: CommandedWorkerMessage): void {
  process.send?.(message);
}
