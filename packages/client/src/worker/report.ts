import type { AcquiredTask } from '../wire.ts';

/** What the worker was doing when an error came up. */
export type WorkerActivity = 'acquire' | 'handle' | 'heartbeat' | 'complete' | 'fail' | 'release' | 'log' | 'events';

/** Told of every error; `task` when it belongs to one. Errors that it throws itself are dropped. */
export type OnError = (error: unknown, context: { doing: WorkerActivity; task?: AcquiredTask }) => void;
export type Report = (error: unknown, doing: WorkerActivity, task?: AcquiredTask) => void;

/** A report that cannot harm the one who makes it. */
export function toReport(onError: OnError | undefined): Report {
  return (error, doing, task) => {
    try {
      onError?.(error, task ? { doing, task } : { doing });
    } catch {
      // The worker has nowhere else to say it.
    }
  };
}
