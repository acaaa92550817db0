import { selectsPath, type Selector } from './selector.ts';

export interface Waiter {
  readonly selector: Selector;
  readonly limit: number;
  /** Something was waiting but could not be taken: it is a task leaving work that may help. */
  readonly isHeld: boolean;
}

interface Entry extends Waiter {
  readonly wake: () => void;
}

/** Long polls in the order in which they came. They are woken for what they may take, first come, first served. */
export class AcquireWaiters {
  readonly #entries = new Set<Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** Resolves when the waiter should try again: it was woken, its time is up, or `signal` aborted. */
  wait(waiter: Waiter, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        this.#entries.delete(entry);
        resolve();
      };
      const entry: Entry = { ...waiter, wake: finish };
      const timer = setTimeout(finish, milliseconds);
      signal?.addEventListener('abort', finish, { once: true });
      this.#entries.add(entry);
      if (signal?.aborted) finish();
    });
  }

  /** @param ready how many tasks of each path have become ready. */
  wakeForReady(ready: ReadonlyMap<string, number>): void {
    if (ready.size === 0 || this.#entries.size === 0) return;
    const left = new Map(ready);
    for (const entry of this.#entries) {
      // Whether the tasks have its tags is not known here, so it leaves them to the others as well.
      if (entry.selector.tagsAny !== null) {
        if ([...left.keys()].some((path) => selectsPath(entry.selector, path))) entry.wake();
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
      if (wanted < entry.limit) entry.wake();
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
