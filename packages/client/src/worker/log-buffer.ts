import type { Input } from '../client.ts';

type LogEntry = Input<'tasks', 'appendLog'>['entries'][number];
export type LogStream = NonNullable<LogEntry['stream']>;

/** Bounds of the contract, in UTF-16 units a text and entries a call. */
const TEXT_MAX = 65_536;
const ENTRIES_MAX = 1000;
/** Of one call, so that it stays below any sensible limit of a body. */
const CHUNK_MAX = 256 * 1024;
/** What may wait for a server that does not answer; more is dropped and said so. */
const WAITING_MAX = 4 * 1024 * 1024;

/** Output of one task that waits to be sent, in order. */
export class LogBuffer {
  #entries: LogEntry[] = [];
  #waiting = 0;
  #dropped = 0;
  #sending: Promise<void> | null = null;

  add(text: string, stream: LogStream): void {
    if (this.#waiting + text.length > WAITING_MAX) {
      this.#dropped++;
      return;
    }
    const at = new Date().toISOString();
    this.#waiting += text.length;
    for (let from = 0; from === 0 || from < text.length; from += TEXT_MAX) {
      this.#entries.push({ stream, text: text.slice(from, from + TEXT_MAX), at });
    }
  }

  /** Sends what is there and what comes meanwhile, one call after the other. Output that `send` refuses is dropped. */
  flush(send: (entries: LogEntry[]) => Promise<void>): Promise<void> {
    this.#sending ??= this.#drain(send).finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  async #drain(send: (entries: LogEntry[]) => Promise<void>): Promise<void> {
    while (this.#entries.length > 0) {
      const chunk = this.#takeChunk();
      await send(chunk);
      this.#waiting -= sizeOf(chunk);
      this.#noteDropped();
    }
  }

  #takeChunk(): LogEntry[] {
    let size = 0;
    let count = 0;
    for (const { text } of this.#entries) {
      size += text.length;
      if (count > 0 && (size > CHUNK_MAX || count === ENTRIES_MAX)) break;
      count++;
    }
    return this.#entries.splice(0, count);
  }

  #noteDropped(): void {
    if (this.#dropped === 0) return;
    this.#entries.push({
      stream: 'info',
      text: `${this.#dropped} entries were dropped while the server did not answer`,
    });
    this.#dropped = 0;
  }
}

function sizeOf(entries: readonly LogEntry[]): number {
  return entries.reduce((sum, { text }) => sum + text.length, 0);
}
