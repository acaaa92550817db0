import type { ApiKey, Role } from '@task-orchestrator/contract';
import type { ExpressionBuilder, Selectable } from 'kysely';
import type { ApiKeys, NewKey, ValidKey } from './api-key.ts';
import { defineVerb, type CommitQueue } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import type { Engine, Querier } from '../db/engine.ts';
import type { ApiKeysTable, Database } from '../db/schema.ts';
import { DomainError, invalidField } from '../domain-error.ts';
import { timeOrderedId } from '../domain/time-ordered-id.ts';
import { toIso, toIsoOrNull } from './task-row.ts';

type KeyRow = Selectable<ApiKeysTable>;

const COLUMNS = [
  'key_id',
  'name',
  'hash',
  'roles',
  'path_prefixes',
  'created_at',
  'expires_at',
  'last_used_at',
  'previous_hash',
  'previous_expires_at',
] as const satisfies readonly (keyof KeyRow)[];

const insertKeys = defineVerb<NewKey, ApiKey>({
  stage: 0,
  run: (commit, items) => Promise.all(items.map((item) => refusedOr(() => insertKey(commit, item)))),
});

const insertFirstKey = defineVerb<Pick<NewKey, 'name' | 'hash'>, ApiKey | null>({
  stage: 2,
  async run(commit, items) {
    await lockKeys(commit);
    const outcomes: (ApiKey | null)[] = [];
    for (const item of items) {
      const hasKeys = (await countKeys(commit.tx)) > 0;
      outcomes.push(hasKeys ? null : await insertKey(commit, { ...item, roles: ['admin'], path_prefixes: [] }));
    }
    return outcomes;
  },
});

const revokeKeys = defineVerb<{ key_id: string; mustKeepAdmin: boolean }, ApiKey>({
  stage: 2,
  async run(commit, items) {
    await lockKeys(commit);
    const outcomes: (ApiKey | DomainError)[] = [];
    for (const item of items) outcomes.push(await refusedOr(() => revokeKey(commit, item)));
    return outcomes;
  },
});

const rotateKeys = defineVerb<{ key_id: string; grace_seconds: number; hash: string }, ApiKey>({
  stage: 2,
  async run(commit, items) {
    await lockKeys(commit);
    const outcomes: (ApiKey | DomainError)[] = [];
    for (const item of items) outcomes.push(await refusedOr(() => rotateKey(commit, item)));
    return outcomes;
  },
});

/** Writes down when keys were last used; several servers may do so at once, and the latest use stands. */
export const saveKeyUses = defineVerb<readonly (readonly [key_id: string, at: number])[], void>({
  stage: 0,
  async run(commit, items) {
    for (const [key_id, at] of items.flat()) {
      await commit.tx.kysely
        .updateTable('api_keys')
        .set({ last_used_at: at })
        .where('key_id', '=', key_id)
        .where(({ eb, or }) => or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
        .execute();
    }
    return items.map(() => undefined);
  },
});

/** Where keys were used since that was last written down, and when. */
export type KeyUses = Map<string, number>;

export function createApiKeys(options: {
  engine: Engine;
  commits: CommitQueue;
  uses: KeyUses;
  writeUses: () => Promise<void>;
}): ApiKeys {
  const { engine, commits, uses, writeUses } = options;
  const { reader, dialect } = engine;
  return {
    count: () => countKeys(reader),
    insert: (key) => commits.run(insertKeys, key),
    insertFirst: (key) => commits.run(insertFirstKey, key),
    revoke: (input) => commits.run(revokeKeys, input),
    rotate: (input) => commits.run(rotateKeys, input),

    async list({ limit, cursor }) {
      await writeUses();
      // Ids of version 7 are in the order of creation.
      let page = reader.kysely.selectFrom('api_keys').select(COLUMNS);
      if (cursor !== undefined) page = page.where('key_id', '<', cursor);
      const rows = await page
        .orderBy('key_id', 'desc')
        .limit(limit + 1)
        .execute();
      const keys = rows.slice(0, limit).map((row) => toApiKey(row, engine.clock()));
      return { keys, next_cursor: rows.length > limit ? keys.at(-1)!.key_id : null };
    },

    async findByHash(hash) {
      const row = await reader.kysely
        .selectFrom('api_keys')
        .select(COLUMNS)
        .where(({ eb, or }) => or([eb('hash', '=', hash), eb('previous_hash', '=', hash)]))
        .executeTakeFirst();
      const now = engine.clock();
      const valid = row && toValidKey(row, hash, now);
      if (valid) uses.set(valid.key_id, now);
      return valid;
    },

    async findValidHashes(hashes) {
      const json = JSON.stringify(hashes);
      const isAsked = ({ ref, or }: ExpressionBuilder<Database, 'api_keys'>) =>
        or([dialect.inStrings(ref('hash'), json), dialect.inStrings(ref('previous_hash').$castTo<string>(), json)]);
      const rows = await reader.kysely.selectFrom('api_keys').select(COLUMNS).where(isAsked).execute();
      const now = engine.clock();
      return new Set(hashes.filter((hash) => rows.some((row) => toValidKey(row, hash, now) !== undefined)));
    },
  };
}

/** Any lock will do that keeps servers from deciding about keys at once. */
function lockKeys(commit: Commit): Promise<void> {
  return commit.tx.lockHandOut('alone');
}

async function insertKey(commit: Commit, { name, hash, ...key }: NewKey): Promise<ApiKey> {
  const roles = [...new Set(key.roles)];
  const path_prefixes = [...new Set(key.path_prefixes)];
  const expires_at = key.expires_at === undefined ? null : Date.parse(key.expires_at);
  if (roles.includes('admin') && path_prefixes.length > 0) {
    throw invalidField('path_prefixes', 'must be empty for the role admin, which covers every path');
  }
  if (expires_at !== null && expires_at <= commit.now) throw invalidField('expires_at', 'must be in the future');
  const row: KeyRow = {
    key_id: timeOrderedId(commit.now),
    name,
    hash,
    roles: JSON.stringify(roles),
    path_prefixes: JSON.stringify(path_prefixes),
    created_at: commit.now,
    expires_at,
    last_used_at: null,
    previous_hash: null,
    previous_expires_at: null,
  };
  await commit.tx.kysely.insertInto('api_keys').values(row).execute();
  return toApiKey(row, commit.now);
}

async function revokeKey(
  commit: Commit,
  { key_id, mustKeepAdmin }: { key_id: string; mustKeepAdmin: boolean },
): Promise<ApiKey> {
  const row = await getKey(commit, key_id);
  if (mustKeepAdmin && isAdmin(row) && (await countLastingAdmins(commit, key_id)) === 0) {
    throw new DomainError(
      'STATUS_CONFLICT',
      `key ${key_id} is the last admin key; create one that does not expire first, or set security.admin_key`,
      { key_id },
    );
  }
  await commit.tx.kysely.deleteFrom('api_keys').where('key_id', '=', key_id).execute();
  return toApiKey(row, commit.now);
}

async function rotateKey(
  commit: Commit,
  { key_id, grace_seconds, hash }: { key_id: string; grace_seconds: number; hash: string },
): Promise<ApiKey> {
  const row = await getKey(commit, key_id);
  if (row.expires_at !== null && row.expires_at <= commit.now) {
    const since = toIso(row.expires_at);
    throw new DomainError('STATUS_CONFLICT', `key ${key_id} expired at ${since}; create another one`, { key_id });
  }
  const previous =
    grace_seconds > 0
      ? { previous_hash: row.hash, previous_expires_at: commit.now + grace_seconds * 1000 }
      : { previous_hash: null, previous_expires_at: null };
  await commit.tx.kysely
    .updateTable('api_keys')
    .set({ hash, ...previous })
    .where('key_id', '=', key_id)
    .execute();
  return toApiKey({ ...row, ...previous }, commit.now);
}

async function getKey(commit: Commit, key_id: string): Promise<KeyRow> {
  const row = await commit.tx.kysely
    .selectFrom('api_keys')
    .select(COLUMNS)
    .where('key_id', '=', key_id)
    .executeTakeFirst();
  if (!row) throw new DomainError('NOT_FOUND', `there is no key ${key_id}`, { key_id });
  return row;
}

async function countLastingAdmins(commit: Commit, butNot: string): Promise<number> {
  const rows = await commit.tx.kysely
    .selectFrom('api_keys')
    .select('roles')
    .where('expires_at', 'is', null)
    .where('key_id', '!=', butNot)
    .execute();
  return rows.filter(isAdmin).length;
}

async function countKeys(reader: Querier): Promise<number> {
  const row = await reader.kysely
    .selectFrom('api_keys')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** `hash` is one of the two of the row. Undefined when it has run out. */
function toValidKey(row: KeyRow, hash: string, now: number): ValidKey | undefined {
  const ends = [row.expires_at ?? Infinity];
  if (row.hash !== hash) ends.push(row.previous_hash === hash ? (row.previous_expires_at ?? 0) : 0);
  const remainingMs = Math.min(...ends) - now;
  if (remainingMs <= 0) return undefined;
  const { key_id, name } = row;
  return { key_id, name, roles: rolesOf(row), path_prefixes: prefixesOf(row), remainingMs };
}

function toApiKey(row: KeyRow, now: number): ApiKey {
  const { previous_expires_at } = row;
  const isOldValid = previous_expires_at !== null && previous_expires_at > now;
  return {
    key_id: row.key_id,
    name: row.name,
    roles: rolesOf(row),
    path_prefixes: prefixesOf(row),
    created_at: toIso(row.created_at),
    expires_at: toIsoOrNull(row.expires_at),
    last_used_at: toIsoOrNull(row.last_used_at),
    old_secret_expires_at: isOldValid ? toIso(previous_expires_at) : null,
  };
}

function isAdmin(row: Pick<KeyRow, 'roles'>): boolean {
  return rolesOf(row).includes('admin');
}

/** Only `insertKey` writes these columns, from values that passed the contract. */
function rolesOf({ roles }: Pick<KeyRow, 'roles'>): Role[] {
  return JSON.parse(roles) as Role[];
}

function prefixesOf({ path_prefixes }: Pick<KeyRow, 'path_prefixes'>): string[] {
  return JSON.parse(path_prefixes) as string[];
}

/** A refusal is the outcome of its item alone. */
async function refusedOr<Value>(work: () => Promise<Value>): Promise<Value | DomainError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}
