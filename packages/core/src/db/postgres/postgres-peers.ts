import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Notice, Peers } from '../engine.ts';
import { APPLICATION_NAME, clientConfig } from './postgres-pool.ts';

const CHANNEL = 'task_orchestrator';
/** A payload may have 8,000 bytes at most. */
const MAX_PAYLOAD_BYTES = 7_500;
const RECONNECT_MS = 500;
const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 10_000;

/**
 * Tells other servers of commits by LISTEN/NOTIFY, after the commit and not in it: a transaction that notifies
 * holds a lock over the whole cluster while it commits. What piles up while one notice is on its way goes as one.
 */
export class PostgresPeers implements Peers {
  readonly #self = randomUUID();
  readonly #url: string;
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #listeners: ((notice: Notice | null) => void)[] = [];
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
    // Without a connection it is lost: the others look for themselves every few seconds.
    if (this.#client === null) return;
    this.#pending.push(notice);
    this.#sending ??= this.#send(this.#client);
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

  async #send(client: pg.Client): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const notice = mergeNotices(this.#pending.splice(0));
        await client.query({
          name: 'notify',
          text: 'SELECT pg_notify($1, $2)',
          values: [CHANNEL, this.#encode(notice)],
        });
      }
    } catch {
      // The connection is lost, which is told where it is made anew.
      this.#pending = [];
    }
    this.#sending = null;
  }

  async #listen(): Promise<void> {
    const client = new pg.Client({
      // A notice is worth no flush to disk, and comes a good deal sooner without.
      ...clientConfig(this.#url, { name: `${APPLICATION_NAME} listener`, settings: ['synchronous_commit=off'] }),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
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
      if (this.#isClosed) return await client.end();
      this.#client = client;
      this.#tell(null);
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
  return {
    types: [...new Set(notices.flatMap(({ types }) => types))],
    ready: notices.some((notice) => notice.ready === null) ? null : [...ready.values()],
    hasFreed: notices.some(({ hasFreed }) => hasFreed),
    hasNewSettings: notices.some(({ hasNewSettings }) => hasNewSettings),
  };
}
