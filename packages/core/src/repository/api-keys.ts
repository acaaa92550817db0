import { v7 as uuidv7 } from 'uuid';
import type { ApiKey, ApiKeys } from './api-key.ts';
import { defineVerb, type CommitQueue } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import type { Querier } from '../db/engine.ts';

type NewKey = Pick<ApiKey, 'name'> & { hash: string };

const insertKeys = defineVerb<NewKey, ApiKey>({
  stage: 0,
  run: (commit, items) => Promise.all(items.map((item) => insertKey(commit, item))),
});

const insertFirstKey = defineVerb<NewKey, ApiKey | null>({
  stage: 2,
  async run(commit, items) {
    // Any lock will do that keeps servers which start at once from doing this at once.
    await commit.tx.lockHandOut('alone');
    const outcomes: (ApiKey | null)[] = [];
    for (const item of items) {
      outcomes.push((await countKeys(commit.tx)) > 0 ? null : await insertKey(commit, item));
    }
    return outcomes;
  },
});

export function createApiKeys(reader: Querier, commits: CommitQueue): ApiKeys {
  return {
    count: () => countKeys(reader),
    insert: (key) => commits.run(insertKeys, key),
    insertFirst: (key) => commits.run(insertFirstKey, key),
    findByHash: (hash) =>
      reader.kysely
        .selectFrom('api_keys')
        .select(['key_id', 'name', 'created_at'])
        .where('hash', '=', hash)
        .executeTakeFirst(),
  };
}

async function insertKey(commit: Commit, { name, hash }: NewKey): Promise<ApiKey> {
  const key = { key_id: uuidv7(), name, created_at: commit.now };
  await commit.tx.kysely
    .insertInto('api_keys')
    .values({ ...key, hash })
    .execute();
  return key;
}

async function countKeys(reader: Querier): Promise<number> {
  const row = await reader.kysely
    .selectFrom('api_keys')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}
