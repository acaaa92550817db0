import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ApiKeys } from '@task-orchestrator/core';
import type { Caller } from './caller.ts';
import { hashSecret } from './key-secret.ts';

export interface Authenticator {
  /** At once when the key was seen lately, else after asking the database; `undefined` for an unknown key. */
  find(secret: string): Caller | undefined | Promise<Caller | undefined>;
  /** Whether the key was valid before, or can be told without the database. */
  isFamiliar(secret: string): boolean;
  /** Keys have changed: what is remembered of these is looked up anew. They stay familiar until that finds nothing. */
  forget(isMeant: (caller: Caller) => boolean): void;
}

/** How long a key that was added or removed may go unnoticed. */
const VALID_MS = 5000;
const MAX_CACHED = 1000;
const MAX_SECRET_LENGTH = 512;

const CONFIGURED: Caller = {
  key_id: 'configured',
  name: 'security.admin_key',
  roles: ['admin'],
  scope: undefined,
  hash: null,
};

/**
 * Looks keys up by their SHA-256: what timing tells about a hash tells nothing about the key. Secrets that were looked up
 * lately are remembered as they are, in memory only: hashing them anew would take a tenth of a request's time.
 * @param adminKey `security.admin_key`, valid beside the stored keys for as long as it is configured.
 */
export function createAuthenticator(options: {
  keys: Pick<ApiKeys, 'findByHash'>;
  adminKey?: string | undefined;
  now?: () => number;
}): Authenticator {
  const { keys, adminKey, now = performance.now.bind(performance) } = options;
  const adminHash = adminKey === undefined ? undefined : Buffer.from(hashSecret(adminKey));
  // Apart, so that a flood of guesses cannot push real keys out.
  const known = new RecentMap<Caller>(MAX_CACHED, VALID_MS);
  const unknown = new RecentMap<true>(MAX_CACHED, VALID_MS);

  const isAdmin = (hash: string) => adminHash !== undefined && timingSafeEqual(Buffer.from(hash), adminHash);

  /** Grows with each key that has changed: what was looked up before is not remembered after. */
  let changes = 0;

  async function findStored(hash: string): Promise<{ caller: Caller; remainingMs: number } | undefined> {
    if (isAdmin(hash)) return { caller: CONFIGURED, remainingMs: Infinity };
    const key = await keys.findByHash(hash);
    if (!key) return undefined;
    const { key_id, name, roles, path_prefixes, remainingMs } = key;
    return {
      caller: { key_id, name, roles, scope: path_prefixes.length > 0 ? path_prefixes : undefined, hash },
      remainingMs,
    };
  }

  async function load(secret: string): Promise<Caller | undefined> {
    const before = changes;
    const found = await findStored(hashSecret(secret));
    if (!found) {
      known.delete(secret);
      unknown.set(secret, true, now());
    } else if (changes === before) known.set(secret, found.caller, now(), found.remainingMs);
    return found?.caller;
  }

  return {
    find(secret) {
      if (secret.length > MAX_SECRET_LENGTH) return undefined;
      const caller = known.get(secret, now());
      if (caller || unknown.get(secret, now())) return caller;
      return load(secret);
    },
    isFamiliar: (secret) => known.has(secret) || (secret.length <= MAX_SECRET_LENGTH && isAdmin(hashSecret(secret))),
    forget(isMeant) {
      changes++;
      known.expireWhere(isMeant);
    },
  };
}

/** The key that a request shows: `Authorization: Bearer` or `x-api-key`. */
export function readSecret(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) return BEARER.exec(authorization)?.[1];
  const key = headers['x-api-key'];
  return typeof key === 'string' && key !== '' ? key : undefined;
}

const BEARER = /^bearer +(\S+) *$/i;

/** The newest entries, each for a while. */
class RecentMap<Value> {
  readonly #entries = new Map<string, { value: Value; until: number }>();
  readonly #maxSize: number;
  readonly #validMs: number;

  constructor(maxSize: number, validMs: number) {
    this.#maxSize = maxSize;
    this.#validMs = validMs;
  }

  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry && entry.until > now ? entry.value : undefined;
  }

  /** Also when it is no longer valid. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  set(key: string, value: Value, now: number, atMostMs = Infinity): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + Math.min(this.#validMs, atMostMs) });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#maxSize && oldest !== undefined) this.#entries.delete(oldest);
  }

  expireWhere(isMeant: (value: Value) => boolean): void {
    for (const entry of this.#entries.values()) if (isMeant(entry.value)) entry.until = -Infinity;
  }
}
