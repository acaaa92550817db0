const LONGEST_MS = 2 ** 31 - 1;

/** Work that goes on by itself, one run at a time each; a failed run is reported and the next one comes all the same. */
export class Background {
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  #isStopped = false;

  constructor(onError: (error: unknown, doing: string) => void) {
    this.#onError = onError;
  }

  every(milliseconds: number, doing: string, work: () => Promise<void>): void {
    let isRunning = false;
    // A longer time would overflow, and the timer fire without pause.
    const timer = setInterval(
      () => {
        if (isRunning) return;
        isRunning = true;
        void this.run(doing, work).then(() => (isRunning = false));
      },
      Math.min(milliseconds, LONGEST_MS),
    );
    this.#timers.add(timer.unref());
  }

  async run(doing: string, work: () => Promise<void>): Promise<void> {
    if (this.#isStopped) return;
    const run = work().catch((error: unknown) => this.#onError(error, doing));
    this.#running.add(run);
    await run;
    this.#running.delete(run);
  }

  /** No run starts after this; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#running);
  }
}
