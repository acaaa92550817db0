import { v7 as uuidv7 } from 'uuid';
import type { ApiKey, ApiKeys } from './api-key.ts';
import { defineVerb, type CommitQueue } from '../commit/commit-queue.ts';
import type { Querier } from '../db/engine.ts';

const insertKeys = defineVerb<{ name: string; hash: string }, ApiKey>({
  stage: 0,
  async run(commit, items) {
    const keys = items.map(({ name, hash }) => ({ key_id: uuidv7(), name, hash, created_at: commit.now }));
    await commit.tx.kysely.insertInto('api_keys').values(keys).execute();
    return keys.map(({ hash: _hash, ...key }) => key);
  },
});

export function createApiKeys(reader: Querier, commits: CommitQueue): ApiKeys {
  return {
    async count() {
      const row = await reader.kysely
        .selectFrom('api_keys')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow();
      return Number(row.count);
    },
    insert: (key) => commits.run(insertKeys, key),
    findByHash: (hash) =>
      reader.kysely
        .selectFrom('api_keys')
        .select(['key_id', 'name', 'created_at'])
        .where('hash', '=', hash)
        .executeTakeFirst(),
  };
}
