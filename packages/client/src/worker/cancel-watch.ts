import type { Client, Input } from '../client.ts';
import type { TaskEvent } from '../wire.ts';
import type { Report } from './report.ts';

/** One stream of events for all tasks of a worker, open only while there is something to hear of. */
export class CancelWatch {
  readonly #client: Client;
  readonly #filter: Input<'events', 'stream'>;
  readonly #onEvent: (event: TaskEvent) => void;
  readonly #report: Report;
  #open: AbortController | null = null;
  #isRefused = false;

  constructor(options: {
    client: Client;
    filter: Input<'events', 'stream'>;
    onEvent: (event: TaskEvent) => void;
    report: Report;
  }) {
    this.#client = options.client;
    this.#filter = options.filter;
    this.#onEvent = options.onEvent;
    this.#report = options.report;
  }

  /** @param onOpen called when the stream stands: what happened before must be asked for. */
  open(onOpen: () => void): void {
    if (this.#open || this.#isRefused) return;
    this.#open = new AbortController();
    void this.#follow(this.#open.signal, onOpen);
  }

  close(): void {
    this.#open?.abort();
    this.#open = null;
  }

  async #follow(signal: AbortSignal, onOpen: () => void): Promise<void> {
    const onError = (error: unknown) => this.#report(error, 'events');
    try {
      for await (const event of this.#client.events.stream(this.#filter, { signal, onOpen, onError })) {
        this.#onEvent(event);
      }
    } catch (error) {
      // Heartbeats bring cancels too, only later.
      this.#isRefused = true;
      this.#report(error, 'events');
    }
  }
}
