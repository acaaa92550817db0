import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { sql, type Kysely } from 'kysely';
import type { Engine } from '../db/engine.ts';
import { migrate } from '../db/migrate.ts';
import { openEngine, type DatabaseOptions } from '../db/open-engine.ts';
import type { Database } from '../db/schema.ts';
import { COPIED_TABLES, KEYED_TABLES, type CopiedTable } from './copied-tables.ts';
import { readPages, type AnyRow } from './read-pages.ts';

export interface CopyProgress {
  readonly table: string;
  readonly doing: 'copying' | 'verifying';
  /** Rows, of so many; a run that goes on where another was killed begins with what that one did. */
  readonly done: number;
  readonly total: number;
}

/** Rows of each table. */
export type CopyReport = Record<CopiedTable, number>;

const TABLES = Object.keys(COPIED_TABLES) as CopiedTable[];

/**
 * Moves everything from one database into another, of any engine: tasks with their leases and tokens, events, logs,
 * keys, settings, and how far keys have been given out. Page by page, so that after a kill the same call goes on
 * where it was; in the end counts and checksums of both sides must agree. Nobody may use either side meanwhile.
 * @throws one line, when the target has data of its own, either side is in use, or the sides differ in the end.
 */
export async function copyDatabase(options: {
  from: DatabaseOptions;
  to: DatabaseOptions;
  onProgress?: (progress: CopyProgress) => void;
}): Promise<CopyReport> {
  const { from, to, onProgress = () => undefined } = options;
  if (from.engine === 'sqlite' && !existsSync(from.path)) throw new Error(`there is no database ${from.path}`);
  const source = await openEngine({ database: from });
  try {
    const target = await openEngine({ database: to });
    try {
      return await copy({ source, target, name: nameOf(from), onProgress });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

interface Copy {
  readonly source: Engine;
  readonly target: Engine;
  /** Of the source, as a copy that was cut off remembers it. */
  readonly name: string;
  readonly onProgress: (progress: CopyProgress) => void;
}

async function copy(sides: Copy): Promise<CopyReport> {
  const { source, target } = sides;
  await refuseUse('source', source);
  await refuseUse('target', target);
  await migrate(source);
  await migrate(target);
  await claimTarget(sides);
  for (const table of TABLES) await copyTable(sides, table);
  await target.transaction(async ({ kysely }) => {
    for (const table of KEYED_TABLES) await target.dialect.continueKeys(table)?.execute(kysely);
  });
  const counts = await Promise.all(TABLES.map(async (table) => [table, await verifyTable(sides, table)] as const));
  await target.transaction(({ kysely }) => sql`DROP TABLE ${CLAIM}`.execute(kysely));
  return Object.fromEntries(counts) as CopyReport;
}

async function refuseUse(side: string, engine: Engine): Promise<void> {
  const servers = await engine.countServers();
  if (servers > 0) throw new Error(`the ${side} is in use by ${servers} server(s): end them first`);
}

/** In the target while a copy into it is not finished. */
const CLAIM = sql.table('copy_in_progress');

/** The target is empty, or has the beginnings of this very copy. */
async function claimTarget({ target, name }: Copy): Promise<void> {
  await target.transaction(async ({ kysely }) => {
    const tables = await kysely.introspection.getTables();
    if (tables.some((table) => table.name === 'copy_in_progress')) {
      const { rows } = await sql<{ source: string }>`SELECT source FROM ${CLAIM}`.execute(kysely);
      if (rows[0]?.source === name) return;
      throw new Error(
        `the target holds an unfinished copy of ${rows[0]?.source}: finish that, or start with an empty database`,
      );
    }
    for (const table of TABLES) {
      const rows = await count(kysely, table);
      if (rows > 0) throw new Error(`the target is not empty: it has ${rows} row(s) in ${table}`);
    }
    await sql`CREATE TABLE ${CLAIM} (source TEXT NOT NULL)`.execute(kysely);
    await sql`INSERT INTO ${CLAIM} (source) VALUES (${name})`.execute(kysely);
  });
}

async function copyTable({ source, target, onProgress }: Copy, table: CopiedTable): Promise<void> {
  const total = await count(source.reader.kysely, table);
  let done = await count(target.reader.kysely, table);
  onProgress({ table, doing: 'copying', done, total });
  for await (const rows of readPages(source, table, done)) {
    await insert(target, table, rows);
    onProgress({ table, doing: 'copying', done: (done += rows.length), total });
  }
}

/** A page comes in as a whole or not at all. */
async function insert(target: Engine, table: CopiedTable, rows: readonly AnyRow[]): Promise<void> {
  const [first] = rows;
  if (!first) return;
  const columns = Object.keys(first);
  await target.transaction(async ({ kysely }) => {
    for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
      const values = rows
        .slice(start, start + ROWS_PER_STATEMENT)
        .map((row) => sql`(${sql.join(columns.map((column) => row[column]))})`);
      const names = sql.join(columns.map((column) => sql.ref(column)));
      await sql`INSERT INTO ${sql.table(table)} (${names}) VALUES ${sql.join(values)}`.execute(kysely);
    }
  });
}

/** Few enough for the parameters that a statement may have. */
const ROWS_PER_STATEMENT = 200;

async function verifyTable({ source, target, onProgress }: Copy, table: CopiedTable): Promise<number> {
  const total = await count(source.reader.kysely, table);
  const digest = async (engine: Engine): Promise<{ rows: number; checksum: string }> => {
    const hash = createHash('sha256');
    let done = 0;
    for await (const rows of readPages(engine, table)) {
      for (const row of rows) hash.update(JSON.stringify(row));
      done += rows.length;
      if (engine === target) onProgress({ table, doing: 'verifying', done, total });
    }
    return { rows: done, checksum: hash.digest('hex') };
  };
  const [from, to] = [await digest(source), await digest(target)];
  if (from.rows === to.rows && from.checksum === to.checksum) return to.rows;
  throw new Error(
    `the copy of ${table} is not the same: ${from.rows} rows with checksum ${from.checksum.slice(0, 12)} became ${to.rows} with ${to.checksum.slice(0, 12)}`,
  );
}

async function count(kysely: Kysely<Database>, table: CopiedTable): Promise<number> {
  const { rows } = await sql<{ rows: number }>`SELECT count(*) AS rows FROM ${sql.table(table)}`.execute(kysely);
  return Number(rows[0]!.rows);
}

function nameOf(database: DatabaseOptions): string {
  if (database.engine === 'sqlite') return database.path;
  const { host, pathname } = new URL(database.url);
  return `${host}${pathname}`;
}
