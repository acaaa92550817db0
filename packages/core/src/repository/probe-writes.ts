import { sql } from 'kysely';
import { defineVerb } from '../commit/commit-queue.ts';

/** Writes a row as it is: goes through when writes do. */
export const probeWrites = defineVerb<null, void>({
  stage: 0,
  async run(commit, items) {
    await commit.tx.kysely
      .updateTable('schema_migrations')
      .set({ applied_at: sql.ref('applied_at') })
      .where('version', '=', 1)
      .execute();
    return items.map(() => undefined);
  },
});
