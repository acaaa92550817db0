import fs from 'node:fs';
import { promisify } from 'node:util';
import { UncertainCommitError } from '../outage.ts';

export interface LogFlusherOptions {
  /** Of the log, which must exist by the first flush. */
  readonly path: string;
  /** How many commits so far may have written. */
  readonly countWrites: () => number;
  /** Brings all of the log into the database and onto the disk, and empties it, or throws. */
  readonly checkpoint: () => void;
}

/**
 * Brings the write-ahead log to the disk, in place of SQLite and at the same moments as its `synchronous=FULL`: after each
 * commit that wrote, before anybody hears of it. `fdatasync` in another thread takes less than half of SQLite's own flush,
 * which also writes the file's times down and stops the process meanwhile.
 */
export class LogFlusher {
  readonly #options: LogFlusherOptions;
  #file: number | null = null;
  #underWay: Promise<void> | null = null;
  /** Commits that wrote and are on the disk; below 0 while that is unknown of what was there at the start. */
  #flushed = -1;
  #isSuspect = false;

  constructor(options: LogFlusherOptions) {
    this.#options = options;
  }

  /**
   * Resolves when all that was committed before is on the disk: at once if only commits that wrote nothing came since.
   * @throws UncertainCommitError when the disk does not take it: what was committed may be there after a crash, or not.
   */
  async flush(): Promise<void> {
    const writes = this.#options.countWrites();
    if (writes === this.#flushed && !this.#isSuspect) return;
    try {
      if (this.#isSuspect) this.#recover();
      else await this.#flushFile();
    } catch (cause) {
      this.#isSuspect = true;
      throw new UncertainCommitError(cause);
    }
    this.#flushed = Math.max(this.#flushed, writes);
  }

  async #flushFile(): Promise<void> {
    this.#file ??= fs.openSync(this.#options.path, 'r+');
    const flushed = flushFile(this.#file);
    this.#underWay = flushed.catch(() => undefined);
    try {
      await flushed;
    } finally {
      this.#underWay = null;
    }
  }

  /** What the system could not write once it may never write, and says so once: the log has a hole that later flushes pass by. */
  #recover(): void {
    this.#options.checkpoint();
    this.#isSuspect = false;
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
