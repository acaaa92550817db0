import { readdir, readFile } from 'node:fs/promises';
import { sql, type Kysely } from 'kysely';
import type { Dialect, Engine, Transaction } from './engine.ts';
import type { Database } from './schema.ts';

const FOLDER = new URL('../../../../migrations/', import.meta.url);

/**
 * Brings the schema up to this code, one file a change, each in its own transaction.
 * @returns the names of the migrations applied.
 * @throws when the database has been migrated by newer code.
 */
export async function migrate(engine: Engine, folder: URL = FOLDER): Promise<string[]> {
  const migrations = await readMigrations(folder);
  const { migrationLock, newerVersionsAllowed } = engine.dialect;
  const apply = async ({ kysely, now }: Transaction): Promise<string[]> => {
    await migrationLock?.execute(kysely);
    await sql`CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`.execute(
      kysely,
    );
    const current = await currentVersion(kysely);
    const newest = migrations.at(-1)?.version ?? 0;
    if (current > newest + newerVersionsAllowed) {
      throw new Error(
        `database is at schema version ${current}, newer than this server's ${newest}: run a newer server`,
      );
    }
    const pending = migrations.filter(({ version }) => version > current);
    for (const { version, name, text } of pending) {
      for (const statement of splitStatements(text, engine.dialect)) {
        await sql.raw(statement).execute(kysely);
      }
      await kysely.insertInto('schema_migrations').values({ version, name, applied_at: now }).execute();
    }
    return pending.map(({ name }) => name);
  };
  return engine.transaction(apply, { isPatient: true });
}

/** The schema version of this code. */
export async function readNewestVersion(folder: URL = FOLDER): Promise<number> {
  return (await readMigrations(folder)).at(-1)?.version ?? 0;
}

async function currentVersion(kysely: Kysely<Database>): Promise<number> {
  const row = await kysely
    .selectFrom('schema_migrations')
    .select(({ fn }) => fn.max('version').as('version'))
    .executeTakeFirst();
  return Number(row?.version ?? 0);
}

async function readMigrations(folder: URL): Promise<{ version: number; name: string; text: string }[]> {
  const files = (await readdir(folder)).filter((file) => /^\d{4}-.*\.sql$/.test(file)).sort();
  return Promise.all(
    files.map(async (file) => ({
      version: Number(file.slice(0, 4)),
      name: file.slice(0, -'.sql'.length),
      text: await readFile(new URL(file, folder), 'utf8'),
    })),
  );
}

/** Migrations hold no `;` inside a statement. */
function splitStatements(text: string, { name, tokens }: Dialect): string[] {
  return text
    .replaceAll(/^--.*$/gm, '')
    .replaceAll('{identity}', tokens.identity)
    .replaceAll('{text}', tokens.text)
    .replaceAll(`{${name}} `, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '' && !statement.startsWith('{'));
}
