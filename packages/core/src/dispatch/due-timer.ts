const LONGEST_MS = 2 ** 31 - 1;

/** Fires when the next scheduled task is due: one timer, moved forward when an earlier task comes in. */
export class DueTimer {
  readonly #now: () => number;
  readonly #onDue: () => void;
  /** Milliseconds since the epoch; Infinity when nothing is expected. */
  #dueAt = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #isStarted = false;

  constructor(now: () => number, onDue: () => void) {
    this.#now = now;
    this.#onDue = onDue;
  }

  get dueAt(): number {
    return this.#dueAt;
  }

  /** From here on it fires; what was expected before is remembered. */
  start(): void {
    this.#isStarted = true;
    const at = this.#dueAt;
    this.#dueAt = Infinity;
    this.expect(at);
  }

  /** @param at milliseconds since the epoch */
  expect(at: number): void {
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    if (!this.#isStarted) return;
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(0, at - this.#now()), LONGEST_MS)).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#dueAt = -Infinity;
  }

  #fire(): void {
    const at = this.#dueAt;
    this.#dueAt = Infinity;
    // A timer may be a moment early, and one for a far time is cut short.
    if (this.#now() < at) this.expect(at);
    else this.#onDue();
  }
}
