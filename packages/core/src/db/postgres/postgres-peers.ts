import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Notice, Peers } from '../engine.ts';

const CHANNEL = 'task_orchestrator';
/** A payload may have 8,000 bytes at most. */
const MAX_PAYLOAD_BYTES = 7_500;
const RECONNECT_MS = 500;

/**
 * Tells other servers of commits by LISTEN/NOTIFY, after the commit and not in it: a transaction that notifies
 * holds a lock over the whole cluster while it commits. What piles up while one notice is on its way goes as one.
 */
export class PostgresPeers implements Peers {
  readonly #self = randomUUID();
  readonly #url: string;
  readonly #pool: pg.Pool;
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #listeners: ((notice: Notice | null) => void)[] = [];
  #client: pg.Client | null = null;
  #reconnect: NodeJS.Timeout | undefined;
  #isClosed = false;
  #pending: Notice[] = [];
  #sending: Promise<void> | null = null;

  constructor(options: { url: string; pool: pg.Pool; onError: (error: unknown, doing: string) => void }) {
    this.#url = options.url;
    this.#pool = options.pool;
    this.#onError = options.onError;
  }

  publish(notice: Notice): void {
    this.#pending.push(notice);
    this.#sending ??= this.#send();
  }

  subscribe(listener: (notice: Notice | null) => void): void {
    this.#listeners.push(listener);
    if (this.#listeners.length === 1) void this.#listen();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#reconnect);
    await this.#sending;
    await this.#client?.end().catch(() => undefined);
  }

  async #send(): Promise<void> {
    while (this.#pending.length > 0 && !this.#isClosed) {
      const notice = mergeNotices(this.#pending.splice(0));
      try {
        await this.#pool.query('SELECT pg_notify($1, $2)', [CHANNEL, encodeNotice(this.#self, notice)]);
      } catch (error) {
        // The others look for themselves every few seconds.
        this.#onError(error, 'notice to other servers');
      }
    }
    this.#sending = null;
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'task-orchestrator listener',
      keepAlive: true,
    });
    let isLost = false;
    const lose = (error: unknown): void => {
      if (isLost || this.#isClosed) return;
      isLost = true;
      this.#client = null;
      this.#onError(error, 'connection that listens to other servers');
      client.end().catch(() => undefined);
      this.#reconnect = setTimeout(() => void this.#listen(), RECONNECT_MS);
    };
    client.on('error', lose);
    client.on('end', () => lose(new Error('the connection ended')));
    client.on('notification', ({ payload }) => this.#receive(payload ?? ''));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.#client = client;
      if (this.#isClosed) await client.end();
      else this.#tell(null);
    } catch (error) {
      lose(error);
    }
  }

  #receive(payload: string): void {
    const { from, ...notice } = JSON.parse(payload) as { from: string } & Notice;
    if (from !== this.#self) this.#tell(notice);
  }

  #tell(notice: Notice | null): void {
    for (const listener of this.#listeners) listener(notice);
  }
}

function encodeNotice(from: string, notice: Notice): string {
  const payload = JSON.stringify({ from, ...notice });
  if (Buffer.byteLength(payload) <= MAX_PAYLOAD_BYTES) return payload;
  return JSON.stringify({ from, ...notice, ready: null });
}

function mergeNotices(notices: readonly Notice[]): Notice {
  const ready = new Map<string, [path: string, rank: number, runAt: number, count: number]>();
  for (const [path, rank, runAt, count] of notices.flatMap((notice) => notice.ready ?? [])) {
    const key = `${rank} ${path}`;
    const known = ready.get(key);
    ready.set(key, [path, rank, Math.min(runAt, known?.[2] ?? runAt), count + (known?.[3] ?? 0)]);
  }
  return {
    types: [...new Set(notices.flatMap(({ types }) => types))],
    ready: notices.some((notice) => notice.ready === null) ? null : [...ready.values()],
    hasFreed: notices.some(({ hasFreed }) => hasFreed),
    hasNewSettings: notices.some(({ hasNewSettings }) => hasNewSettings),
  };
}
