import type { Client } from '../client.ts';
import {
  LeaseLostError,
  OrchestratorError,
  PayloadTooLargeError,
  TaskCancelledError,
  ValidationError,
  WorkerStoppedError,
} from '../errors.ts';
import { CompletionQueue } from './completion-queue.ts';
import { deliver } from './deliver.ts';
import type { HeldTask } from './held-task.ts';
import type { Report } from './report.ts';
import { textOf, toFailure, toResult } from './task-result.ts';

/** What came of a handler. */
export type Outcome = { readonly value: unknown } | { readonly thrown: unknown };

type Failure = ReturnType<typeof toFailure>;

/** Tells the server what came of a task, through any outage. Nothing here throws: what goes wrong is reported. */
export class Settler {
  readonly #client: Client;
  readonly #report: Report;
  readonly #signal: AbortSignal;
  readonly #completions: CompletionQueue;

  /** @param options.signal ends the attempts to reach a server that does not answer. */
  constructor(options: { client: Client; report: Report; signal: AbortSignal }) {
    this.#client = options.client;
    this.#report = options.report;
    this.#signal = options.signal;
    this.#completions = new CompletionQueue({ ...options, onOutage: (error) => options.report(error, 'complete') });
  }

  async settle(held: HeldTask, outcome: Outcome): Promise<void> {
    held.isSettling = true;
    if (held.logs && !held.isLost) await this.flushLogs(held);
    if (held.isLost) return;
    if ('value' in outcome) return this.#complete(held, outcome.value);
    if (held.abortReason instanceof TaskCancelledError) return this.#fail(held, cancelled(held.abortReason));
    if (held.abortReason instanceof WorkerStoppedError) return this.release(held);
    this.#report(outcome.thrown, 'handle', held.task);
    await this.#fail(held, toFailure(outcome.thrown));
  }

  /** Gives a task back untouched. */
  async release(held: HeldTask): Promise<void> {
    await this.#deliver(held, 'release', () =>
      this.#client.tasks.release({ ...claimOf(held), reason: 'the worker stopped' }, { signal: this.#signal }),
    );
  }

  /** Sends the output that waits. What cannot be delivered is reported and dropped: work goes before its log. */
  async flushLogs(held: HeldTask): Promise<void> {
    await held.logs?.flush(async (entries) => {
      try {
        await this.#client.tasks.appendLog({ ...claimOf(held), entries }, { signal: this.#signal });
      } catch (error) {
        if (error instanceof LeaseLostError) held.lose(error);
        this.#report(error, 'log', held.task);
      }
    });
  }

  async #complete(held: HeldTask, value: unknown): Promise<void> {
    try {
      await this.#completions.add({ ...claimOf(held), result: toResult(value) });
    } catch (error) {
      this.#report(error, 'complete', held.task);
      if (isRefusedResult(error)) await this.#fail(held, refusedResult(error));
    }
  }

  async #fail(held: HeldTask, failure: Failure): Promise<void> {
    await this.#deliver(held, 'fail', () =>
      this.#client.tasks.fail({ ...claimOf(held), ...failure }, { signal: this.#signal }),
    );
  }

  async #deliver(held: HeldTask, doing: 'fail' | 'release', send: () => Promise<unknown>): Promise<void> {
    const onOutage = (error: unknown) => this.#report(error, doing, held.task);
    try {
      await deliver({ send, signal: this.#signal, onOutage });
    } catch (error) {
      // Who wants to give back what is not his any more has nothing to complain of.
      if (doing !== 'release' || !(error instanceof LeaseLostError)) onOutage(error);
    }
  }
}

function claimOf({ task: { task_id, lease_token } }: HeldTask) {
  return { task_id, lease_token };
}

function cancelled(reason: TaskCancelledError): Failure {
  return { error: { code: 'CANCELLED', message: reason.message }, retryable: false };
}

function refusedResult(cause: unknown): Failure {
  const message = `The result of the handler was refused: ${textOf(cause)}`;
  return { error: { code: 'RESULT_REFUSED', message: message.slice(0, 10_000) }, retryable: false };
}

/** Another attempt would return the same again. */
function isRefusedResult(error: unknown): boolean {
  return (
    error instanceof ValidationError || error instanceof PayloadTooLargeError || !(error instanceof OrchestratorError)
  );
}
