import { selectsPath, type Selector } from './selector.ts';

export interface Waiter {
  readonly selector: Selector;
  readonly limit: number;
  /** Something was waiting but could not be taken: it is a task leaving work that may help. */
  readonly isHeld: boolean;
}

interface Entry extends Waiter {
  readonly wake: (isExpected?: boolean) => void;
}

/** Long polls in the order in which they came. They are woken for what they may take, first come, first served. */
export class AcquireWaiters {
  readonly #entries = new Set<Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Resolves when the waiter should try again: it was woken, its time is up, or `signal` aborted.
   * @returns whether what it waits for is about to come with the next commit: then it should be in that commit, too.
   */
  wait(waiter: Waiter, milliseconds: number, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isExpected: boolean): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
        this.#entries.delete(entry);
        resolve(isExpected);
      };
      const giveUp = (): void => end(false);
      const entry: Entry = { ...waiter, wake: (isExpected = false) => end(isExpected) };
      const timer = setTimeout(giveUp, milliseconds);
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#entries.add(entry);
      if (signal?.aborted) giveUp();
    });
  }

  /**
   * @param ready how many tasks of each path have become ready
   * @param isExpected they only will, with the next commit
   */
  wakeForReady(ready: ReadonlyMap<string, number>, isExpected = false): void {
    if (ready.size === 0 || this.#entries.size === 0) return;
    const left = new Map(ready);
    for (const entry of this.#entries) {
      // Whether the tasks have its tags is not known here, so it leaves them to the others as well.
      if (entry.selector.tagsAny !== null) {
        if (!isExpected && [...left.keys()].some((path) => selectsPath(entry.selector, path))) entry.wake();
        continue;
      }
      let wanted = entry.limit;
      for (const [path, count] of left) {
        if (!selectsPath(entry.selector, path)) continue;
        if (count > wanted) left.set(path, count - wanted);
        else left.delete(path);
        wanted -= Math.min(count, wanted);
        if (wanted === 0) break;
      }
      if (wanted < entry.limit) entry.wake(isExpected);
      if (left.size === 0) return;
    }
  }

  /** Tasks have left work or limits have changed: what held others back may be gone. */
  wakeHeld(): void {
    for (const entry of this.#entries) if (entry.isHeld) entry.wake();
  }

  wakeAll(): void {
    for (const entry of this.#entries) entry.wake();
  }
}
