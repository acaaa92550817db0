import type { Client, Input } from '../client.ts';
import { timeOrderedId } from '../time-ordered-id.ts';
import type { Tracing } from '../tracing.ts';
import type { AcquiredTask } from '../wire.ts';
import type { TaskContext } from './held-task.ts';
import type { OnError } from './report.ts';

/** Does one task. What it returns completes the task, what it throws fails it; see `WorkerOptions.handler`. */
export type Handler = (task: AcquiredTask, context: TaskContext) => unknown;

/** Which tasks a worker takes, how many at a time, and what it does with them. */
export interface WorkerOptions {
  client: Client;
  /** Take tasks of this directory only. */
  workPath?: string | undefined;
  /** Take tasks of these directories, in turns. Without either, tasks of any directory. */
  workPaths?: readonly string[] | undefined;
  /** Also tasks of all directories below. Default: false. */
  subtree?: boolean | undefined;
  /** Only tasks that have at least one of these tags. */
  tagsAny?: readonly string[] | undefined;
  /** Default: host, process id and a random part. */
  workerId?: string | undefined;
  /** How many handlers run at a time. A task whose outcome is on its way has left its place to the next. Default: 1. */
  concurrency?: number | undefined;
  /** How many more tasks may be held, so that the next one is there when a handler ends. Default: 0. */
  prefetch?: number | undefined;
  /** How long a task stays ours without a sign of life; heartbeats go out at a third of it. Default: the server's. */
  leaseSeconds?: number | undefined;
  /** How long one request waits for a task: 0 to 60. Default: 30. */
  waitSeconds?: number | undefined;
  /** How long `stop()` waits for running handlers before it aborts them. Default: 20. */
  drainTimeoutSeconds?: number | undefined;
  /**
   * Does one task. A returned object with a `status` of `success` or `failure`, or with an `output` and no `status`,
   * is the result; anything else is the output of a successful result. A thrown error fails the task, which is tried
   * again while attempts are left, unless the error has `retryable: false` (`NonRetryableError`); its
   * `retryAfterSeconds`, if any, replaces the usual pause, and its `code` is kept.
   */
  handler: Handler;
  /** Told of every error: of handlers, and of what the worker does in the background. */
  onError?: OnError | undefined;
  /** Handlers run as parts of the traces that their tasks were created in. Default: they do not. */
  tracing?: Tracing | undefined;
}

type Ask = Omit<Input<'tasks', 'acquire'>, 'limit' | 'acquire_id'>;

/** What the worker asks for, the same each time. */
export function toAsk(options: WorkerOptions, worker_id: string): Ask & { wait_seconds: number } {
  return {
    worker_id,
    work_path: options.workPath,
    work_paths: options.workPaths && [...options.workPaths],
    subtree: options.subtree,
    tags_any: options.tagsAny && [...options.tagsAny],
    wait_seconds: options.waitSeconds ?? 30,
    lease_seconds: options.leaseSeconds,
  };
}

/** The events among which cancels are, as few as the filters of the stream allow: a requested cancel leaves a task working. */
export function toFilter(workerId: string): Input<'events', 'stream'> {
  return { worker_id: workerId, type: ['cancel_requested', 'cancelled', 'lease_lost'] };
}

/** @throws `TypeError` for what can be seen to be wrong without asking the server. */
export function checkOptions({ workPath, workPaths, concurrency = 1, prefetch = 0 }: WorkerOptions): void {
  if (workPath !== undefined && workPaths !== undefined) throw new TypeError('give workPath or workPaths, not both');
  requireWhole('concurrency', concurrency, 1);
  requireWhole('prefetch', prefetch, 0);
}

function requireWhole(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new TypeError(`${name} is ${value}; it must be a whole number of at least ${least}`);
}

export function defaultWorkerId(): string {
  // Browsers have no process, and no host name.
  const host = globalThis.process?.getBuiltinModule?.('node:os').hostname() ?? 'host';
  return `${host.slice(0, 100)}-${globalThis.process?.pid ?? 0}-${timeOrderedId().slice(-8)}`;
}
