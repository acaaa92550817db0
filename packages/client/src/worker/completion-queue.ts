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

/**
 * Collects completions: while one call is under way the next one fills. Nothing waits for a timer: what ends alone
 * leaves alone, what ends together travels together.
 */
export class CompletionQueue {
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #onOutage: (error: unknown) => void;
  #waiting: Waiting[] = [];
  #isSending = false;

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
      if (!this.#isSending) void this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    await endOfTurn();
    while (this.#waiting.length > 0) await this.#send(this.#waiting.splice(0, BATCH_MAX));
    this.#isSending = false;
  }

  async #send(batch: Waiting[]): Promise<void> {
    const completions = batch.map(({ completion }) => completion);
    try {
      const { results } = await deliver({
        send: () => this.#client.tasks.completeMany({ completions }, { signal: this.#signal }),
        signal: this.#signal,
        onOutage: this.#onOutage,
      });
      for (const [index, { resolve, reject }] of batch.entries()) {
        const error = results[index]?.error;
        if (error) reject(toError(error));
        else resolve();
      }
    } catch (error) {
      // One result that is no JSON, or too large, must not cost the others theirs.
      if (batch.length > 1 && !this.#signal.aborted) for (const one of batch) await this.#send([one]);
      else for (const { reject } of batch) reject(error);
    }
  }
}
