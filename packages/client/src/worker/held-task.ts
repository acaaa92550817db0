import type { Input } from '../client.ts';
import type { AcquiredTask } from '../wire.ts';
import { LogBuffer, type LogStream } from './log-buffer.ts';

/** What a handler gets beside its task. */
export interface TaskContext {
  /**
   * Aborts when the work is no longer wanted; its reason says why: `TaskCancelledError`, `LeaseLostError` or
   * `WorkerStoppedError`. A handler that ends early because of it must throw (`signal.throwIfAborted()`): what it
   * returns counts as done.
   */
  readonly signal: AbortSignal;
  /** Proves the lease in calls of the handler's own. */
  readonly leaseToken: string;
  /** Grows with each acquisition: a fence for what the handler writes elsewhere. */
  readonly leaseEpoch: number;
  /** Says how far the work is; sent at most once a second, the newest wins. @param percent 0 to 100; null = unknown. */
  readonly progress: (percent: number | null, message?: string) => void;
  /** Appends to the log of the task; sent in batches, and before the task is completed. */
  readonly log: (text: string, stream?: LogStream) => void;
}

type Progress = NonNullable<Input<'tasks', 'heartbeat'>['progress']>;

/** A task under a lease of this worker. Lean, since there may be thousands in a second: most parts come on demand. */
export class HeldTask implements TaskContext {
  readonly task: AcquiredTask;
  /** Monotonic milliseconds. */
  readonly acquiredAt: number;
  /** When the lease was last granted; monotonic milliseconds. */
  renewedAt: number;
  /** The handler has ended and what came of it is on its way. */
  isSettling = false;
  /** Not ours any more: what comes of it is dropped. */
  isLost = false;
  /** Why the work is not wanted; null as long as it is. */
  abortReason: Error | null = null;
  #controller: AbortController | null = null;
  #progress: Progress | null = null;
  #logs: LogBuffer | null = null;

  constructor(task: AcquiredTask, now: number) {
    this.task = task;
    this.acquiredAt = now;
    this.renewedAt = now;
  }

  get leaseToken(): string {
    return this.task.lease_token;
  }

  get leaseEpoch(): number {
    return this.task.lease_epoch;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.abortReason) this.#controller.abort(this.abortReason);
    return this.#controller.signal;
  }

  get progress(): TaskContext['progress'] {
    return (percent, message) => {
      this.#progress = { percent, message: message?.slice(0, 1000) ?? null };
    };
  }

  get log(): TaskContext['log'] {
    return (text, stream = 'stdout') => {
      this.#logs ??= new LogBuffer();
      this.#logs.add(text, stream);
    };
  }

  get logs(): LogBuffer | null {
    return this.#logs;
  }

  get hasNews(): boolean {
    return this.#progress !== null;
  }

  /** Progress that is to be sent; null when there is nothing new. */
  takeProgress(): Progress | null {
    const progress = this.#progress;
    this.#progress = null;
    return progress;
  }

  /** Progress that was not delivered comes back, unless newer one is there. */
  putBackProgress(progress: Progress | null): void {
    this.#progress ??= progress;
  }

  abort(reason: Error): void {
    if (this.abortReason) return;
    this.abortReason = reason;
    this.#controller?.abort(reason);
  }

  lose(reason: Error): void {
    this.isLost = true;
    this.abort(reason);
  }
}
