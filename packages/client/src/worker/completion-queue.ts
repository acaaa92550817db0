import type { Client, Input } from '../client.ts';
import { endOfTurn } from '../end-of-turn.ts';
import { toError } from '../errors.ts';
import { deliver } from './deliver.ts';

type Completion = Input<'tasks', 'completeMany'>['completions'][number];

interface Waiting {
  readonly completion: Completion;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const BATCH_MAX = 500;
/** Two, so that the server has the next call when it has answered one. */
const CALLS_MAX = 2;

/**
 * Collects completions: while calls are under way the next one fills. Nothing waits for a timer: what ends alone
 * leaves alone, what ends together travels together.
 */
export class CompletionQueue {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #onOutage: (error: unknown) => void;
  #waiting: Waiting[] = [];
  #calls = 0;
  #isScheduled = false;

  /** @param options.signal ends the attempts to reach a server that does not answer. */
  constructor(options: { client: Client; signal: AbortSignal; onOutage: (error: unknown) => void }) {
    this.#client = options.client;
    this.#signal = options.signal;
    this.#onOutage = options.onOutage;
  }

  /** Resolves when the server has taken the completion; rejects with its refusal. */
  add(completion: Completion): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ completion, resolve, reject });
      void this.#schedule();
    });
  }

  async #schedule(): Promise<void> {
    if (this.#isScheduled || this.#calls === CALLS_MAX || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    await endOfTurn();
    this.#isScheduled = false;
    while (this.#waiting.length > 0 && this.#calls < CALLS_MAX) void this.#sendNext();
  }

  async #sendNext(): Promise<void> {
    this.#calls += 1;
    await this.#send(this.#waiting.splice(0, BATCH_MAX));
    this.#calls -= 1;
    void this.#schedule();
  }

  async #send(batch: Waiting[]): Promise<void> {
    const completions = batch.map(({ completion }) => completion);
    try {
      const { results } = await deliver({
        send: () => this.#client.tasks.completeMany({ completions, refusals_only: true }, { signal: this.#signal }),
        signal: this.#signal,
        onOutage: this.#onOutage,
      });
      const refusals = new Map(results.map(({ index, error }) => [index, error]));
      for (const [index, { resolve, reject }] of batch.entries()) {
        const refusal = refusals.get(index);
        if (refusal) reject(toError(refusal));
        else resolve();
      }
    } catch (error) {
      // One result that is no JSON, or too large, must not cost the others theirs.
      if (batch.length > 1 && !this.#signal.aborted) for (const one of batch) await this.#send([one]);
      else for (const { reject } of batch) reject(error);
    }
  }
}
