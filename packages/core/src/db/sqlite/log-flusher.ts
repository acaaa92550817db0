import fs from 'node:fs';
import { promisify } from 'node:util';
import { UncertainCommitError } from '../outage.ts';

/**
 * Brings the write-ahead log to the disk, in place of SQLite and at the same moments as its `synchronous=FULL`: after each
 * commit, before anybody hears of it. `fdatasync` in another thread takes less than half of SQLite's own flush, which also
 * writes the file's times down and stops the process meanwhile.
 */
export class LogFlusher {
  readonly #path: string;
  #file: number | null = null;
  #underWay: Promise<void> | null = null;

  /** @param path of the log, which must exist by the first flush. */
  constructor(path: string) {
    this.#path = path;
  }

  /** @throws UncertainCommitError when the disk does not take it: what was committed may be there after a crash, or not. */
  async flush(): Promise<void> {
    this.#file ??= fs.openSync(this.#path, 'r+');
    const flushed = flushFile(this.#file);
    this.#underWay = flushed.catch(() => undefined);
    try {
      await flushed;
    } catch (cause) {
      throw new UncertainCommitError(cause);
    } finally {
      this.#underWay = null;
    }
  }

  /** A commit that can be read but is not on the disk yet; null if there is none. */
  get underWay(): Promise<void> | null {
    return this.#underWay;
  }

  close(): void {
    if (this.#file !== null) fs.closeSync(this.#file);
    this.#file = null;
  }
}

const flushFile = promisify((file: number, done: (error: Error | null) => void) => fs.fdatasync(file, done));
