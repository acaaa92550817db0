import type { Engine } from '../db/engine.ts';
import type { Cipher } from './cipher.ts';

/**
 * Makes sure that what the database holds can be read, and notes the key under which this server is going to write.
 * @throws one line, when there are values under a key that is not given.
 */
export async function claimKey(engine: Engine, cipher: Cipher): Promise<void> {
  const rows = await engine.reader.kysely
    .selectFrom('encryption_keys')
    .select('key_id')
    .orderBy('first_used_at')
    .execute();
  const unknown = rows.find(({ key_id }) => !cipher.keyIds.includes(key_id));
  if (unknown) throw new Error(explainUnknown(unknown.key_id, cipher.keyIds));
  if (!rows.some(({ key_id }) => key_id === cipher.currentId)) await noteKey(engine, cipher);
}

function explainUnknown(keyId: string, given: readonly string[]): string {
  const fact = `the database has values that are encrypted under key ${keyId}`;
  if (given.length === 0) return `${fact}, and there is no database.encryption_key: set it`;
  return `${fact}; given is ${given.join(', ')}: set database.encryption_key to that key, or name it in database.previous_encryption_keys`;
}

/** From before the first value is written under it until none is left. */
export async function noteKey(engine: Engine, { currentId }: Cipher): Promise<void> {
  if (currentId === null) return;
  await engine.transaction(({ kysely, now }) =>
    kysely
      .insertInto('encryption_keys')
      .values({ key_id: currentId, first_used_at: now })
      .onConflict((conflict) => conflict.column('key_id').doNothing())
      .execute(),
  );
}
