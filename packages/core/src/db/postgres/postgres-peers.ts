import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Notice, Peers } from '../engine.ts';
import { APPLICATION_NAME, clientConfig } from './postgres-pool.ts';

/** How every server names the session that listens. */
export const LISTENER_NAME = `${APPLICATION_NAME} listener`;

const CHANNEL = 'task_orchestrator';
/** A payload may have 8,000 bytes at most. */
const MAX_PAYLOAD_BYTES = 7_500;
/** More than these fit in no payload. */
const MAX_PATHS = 1_000;
const RECONNECT_MS = 500;
const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 10_000;

/**
 * Tells other servers of commits by LISTEN/NOTIFY, after the commit and not in it: a transaction that notifies
 * holds a lock over the whole cluster while it commits.
 */
export class PostgresPeers implements Peers {
  readonly #self = randomUUID();
  readonly #url: string;
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #listeners: ((notice: Notice | null) => void)[] = [];
  /** The latest connection, and the same once it listens. */
  #latest: pg.Client | null = null;
  #client: pg.Client | null = null;
  #reconnect: NodeJS.Timeout | undefined;
  #isClosed = false;
  #pending: Notice[] = [];
  #sending: Promise<void> | null = null;

  constructor(options: { url: string; onError: (error: unknown, doing: string) => void }) {
    this.#url = options.url;
    this.#onError = options.onError;
  }

  publish(notice: Notice): void {
    this.#pending.push(notice);
    // Without a connection they wait for one, together; meanwhile the others look for themselves every few seconds.
    if (this.#client === null) this.#pending = [mergeNotices(this.#pending)];
    else this.#flush();
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

  #flush(): void {
    if (this.#client === null || this.#sending !== null || this.#pending.length === 0) return;
    this.#sending = this.#send(this.#client).finally(() => {
      this.#sending = null;
      this.#flush();
    });
  }

  /** What piles up while one notice is on its way goes as one. */
  async #send(client: pg.Client): Promise<void> {
    const notice = mergeNotices(this.#pending.splice(0));
    try {
      const values = [CHANNEL, this.#encode(notice)];
      await client.query({ name: 'notify', text: 'SELECT pg_notify($1, $2)', values });
    } catch (error) {
      this.#pending.unshift(notice);
      this.#lose(client, error);
    }
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({
      // A notice is worth no flush to disk, and comes a good deal sooner without.
      ...clientConfig(this.#url, { name: LISTENER_NAME, settings: ['synchronous_commit=off'] }),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    });
    this.#latest = client;
    client.on('error', (error) => this.#lose(client, error));
    client.on('end', () => this.#lose(client, new Error('the connection ended')));
    client.on('notification', ({ payload }) => this.#receive(payload ?? ''));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      // It may have been given up meanwhile, and another one be on its way.
      if (this.#isClosed || this.#latest !== client) return await client.end();
      this.#client = client;
      this.#tell(null);
      this.#flush();
    } catch (error) {
      this.#lose(client, error);
    }
  }

  /** Once for each connection, however it shows. */
  #lose(client: pg.Client, error: unknown): void {
    // Nothing is sent over a connection that has failed, whichever it was.
    if (this.#client === client) this.#client = null;
    if (this.#latest !== client) return;
    this.#latest = null;
    if (this.#isClosed) return;
    this.#onError(error, 'connection that listens to other servers');
    client.end().catch(() => undefined);
    this.#reconnect = setTimeout(() => void this.#listen(), RECONNECT_MS);
  }

  #receive(payload: string): void {
    const { from, ...notice } = JSON.parse(payload) as { from: string } & Notice;
    if (from !== this.#self) this.#tell(notice);
  }

  #tell(notice: Notice | null): void {
    for (const listener of this.#listeners) listener(notice);
  }

  #encode(notice: Notice): string {
    const payload = JSON.stringify({ from: this.#self, ...notice });
    if (Buffer.byteLength(payload) <= MAX_PAYLOAD_BYTES) return payload;
    return JSON.stringify({ from: this.#self, ...notice, ready: null });
  }
}

function mergeNotices(notices: readonly Notice[]): Notice {
  const ready = new Map<string, [path: string, rank: number, runAt: number, count: number]>();
  for (const [path, rank, runAt, count] of notices.flatMap((notice) => notice.ready ?? [])) {
    const key = `${rank} ${path}`;
    const known = ready.get(key);
    ready.set(key, [path, rank, Math.min(runAt, known?.[2] ?? runAt), count + (known?.[3] ?? 0)]);
  }
  const isTooMuch = ready.size > MAX_PATHS || notices.some((notice) => notice.ready === null);
  return {
    types: [...new Set(notices.flatMap(({ types }) => types))],
    ready: isTooMuch ? null : [...ready.values()],
    hasFreed: notices.some(({ hasFreed }) => hasFreed),
    hasNewSettings: notices.some(({ hasNewSettings }) => hasNewSettings),
  };
}
