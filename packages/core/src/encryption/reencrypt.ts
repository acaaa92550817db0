import { existsSync } from 'node:fs';
import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Engine, Transaction } from '../db/engine.ts';
import { migrate } from '../db/migrate.ts';
import { openEngine, type DatabaseOptions } from '../db/open-engine.ts';
import { isConflict } from '../db/outage.ts';
import type { Database } from '../db/schema.ts';
import { logColumn } from '../repository/logs.ts';
import { Cipher, SEALED, UnreadableError, type EncryptionKeys } from './cipher.ts';
import { claimKey } from './keys-in-use.ts';

/** What is encrypted. */
export const SEALED_COLUMNS = {
  tasks: ['prompt', 'result', 'idempotency_hash'],
  task_logs: ['text'],
} as const satisfies { [Table in keyof Database]?: readonly (keyof Database[Table])[] };

type SealedTable = keyof typeof SEALED_COLUMNS;
const TABLES = ['tasks', 'task_logs'] as const satisfies readonly SealedTable[];

export interface ReencryptProgress {
  readonly table: string;
  /** Rows, of so many that there were to do at the start. */
  readonly done: number;
  readonly total: number;
}

export interface ReencryptReport {
  /** Under which all values are now; null: they are plain text. */
  readonly keyId: string | null;
  /** Rows that were written anew; the others were as they should be. */
  readonly rows: Readonly<Record<SealedTable, number>>;
}

/**
 * Writes all values anew that are not as the keys say new ones are written: under the current key, or as plain text. In
 * small transactions, so that after a kill the same call does the rest. On PostgreSQL servers may run meanwhile, if all of
 * them write under the current key. Afterwards no other key is needed.
 * @throws one line, when the database is in use, a key is missing, or values were left as they are.
 */
export async function reencryptDatabase(options: {
  database: DatabaseOptions;
  encryption: EncryptionKeys;
  onProgress?: (progress: ReencryptProgress) => void;
}): Promise<ReencryptReport> {
  const { database, encryption, onProgress = () => undefined } = options;
  if (database.engine === 'sqlite' && !existsSync(database.path))
    throw new Error(`there is no database ${database.path}`);
  const engine = await openEngine({ database });
  try {
    const cipher = new Cipher(encryption);
    await migrate(engine);
    await claimKey(engine, cipher);
    await refuseUse(engine, cipher);
    const work = { engine, cipher, onProgress, unreadable: [] };
    const rows = { tasks: await rewrite(work, 'tasks'), task_logs: await rewrite(work, 'task_logs') };
    await refuseLeftOver(work);
    await forgetOtherKeys(work);
    await engine.scrub();
    return { keyId: cipher.currentId, rows };
  } finally {
    await engine.close();
  }
}

interface Work {
  readonly engine: Engine;
  readonly cipher: Cipher;
  readonly onProgress: (progress: ReencryptProgress) => void;
  readonly unreadable: UnreadableError[];
}

/** A server that has a key would go on to encrypt. */
async function refuseUse(engine: Engine, { currentId }: Cipher): Promise<void> {
  const servers = currentId === null ? await engine.countServers() : 0;
  if (servers > 0) throw new Error(`the database is in use by ${servers} server(s): end them first`);
}

/** Where few rows of many are stale, it takes a while to find them. */
const PATIENT = { isPatient: true };

/** A prompt and a result may have more than a megabyte together. */
const ROWS_PER_STEP = 50;

async function rewrite(work: Work, table: SealedTable): Promise<number> {
  const { engine, onProgress } = work;
  const total = await countStale(work, table);
  let done = 0;
  for (let after = 0; ;) {
    const step = await retryConflicts(() => engine.transaction((tx) => rewriteStep(work, tx, table, after), PATIENT));
    if (step.seqs.length > 0) onProgress({ table, done: (done += step.written), total });
    if (step.seqs.length < ROWS_PER_STEP) return done;
    after = step.seqs.at(-1)!;
  }
}

type StaleRow = Record<string, string | number | null> & { seq: number };

async function rewriteStep(
  { cipher, unreadable }: Work,
  tx: Transaction,
  table: SealedTable,
  after: number,
): Promise<{ seqs: number[]; written: number }> {
  const rows = await readStale(tx, table, cipher, after);
  const written = rows.flatMap((row) => {
    try {
      return [resealRow(cipher, table, row)];
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      unreadable.push(error);
      return [];
    }
  });
  await updateRows(tx.kysely, table, written);
  return { seqs: rows.map(({ seq }) => seq), written: written.length };
}

async function readStale(tx: Transaction, table: SealedTable, cipher: Cipher, after: number): Promise<StaleRow[]> {
  const columns = SEALED_COLUMNS[table].map((column) => sql.ref(`${table}.${column}`));
  // On PostgreSQL a server may be about to write to the row, too.
  const lock = tx.dialect.isShared ? sql`FOR UPDATE OF ${sql.table(table)}` : sql``;
  const from =
    table === 'tasks'
      ? sql`tasks.task_id FROM tasks`
      : sql`tasks.task_id, task_logs.at, task_logs.attempt, task_logs.stream FROM task_logs JOIN tasks ON tasks.seq = task_logs.task_seq`;
  const seq = sql.ref(`${table}.seq`);
  const { rows } = await sql<StaleRow>`
    SELECT ${seq}, ${sql.join(columns)}, ${from}
    WHERE ${seq} > ${after} AND (${isStale(table, cipher)}) ORDER BY ${seq} LIMIT ${sql.lit(ROWS_PER_STEP)} ${lock}`.execute(
    tx.kysely,
  );
  return rows;
}

/** One of the columns is not written as it would be now. */
function isStale(table: SealedTable, { prefix }: Cipher): RawBuilder<boolean> {
  const conditions = SEALED_COLUMNS[table].map((name) => {
    const column = sql.ref(`${table}.${name}`);
    return prefix === null
      ? sql`substr(${column}, 1, ${sql.lit(SEALED.length)}) = ${SEALED}`
      : sql`substr(${column}, 1, ${sql.lit(prefix.length)}) <> ${prefix}`;
  });
  return sql<boolean>`${sql.join(conditions, sql` OR `)}`;
}

function resealRow(cipher: Cipher, table: SealedTable, row: StaleRow): StaleRow {
  const resealed: StaleRow = { seq: row.seq };
  for (const name of SEALED_COLUMNS[table]) {
    const stored = row[name] ?? null;
    const task_id = String(row['task_id']);
    const column = name === 'text' ? logColumn(row as never) : name;
    resealed[name] =
      stored === null ? null : cipher.seal(cipher.open(String(stored), task_id, column), task_id, column);
  }
  return resealed;
}

/** All of them in one statement; a list of VALUES has the same column names in both engines. */
async function updateRows(kysely: Kysely<Database>, table: SealedTable, rows: readonly StaleRow[]): Promise<void> {
  if (rows.length === 0) return;
  const names = SEALED_COLUMNS[table];
  const values = rows.map(
    (row) => sql`(CAST(${row.seq} AS BIGINT), ${sql.join(names.map((name) => sql`CAST(${row[name]} AS TEXT)`))})`,
  );
  const sets = names.map((name, index) => sql`${sql.ref(name)} = given.${sql.ref(`column${index + 2}`)}`);
  await sql`
    UPDATE ${sql.table(table)} SET ${sql.join(sets)} FROM (VALUES ${sql.join(values)}) AS given
    WHERE ${sql.ref(`${table}.seq`)} = given.column1`.execute(kysely);
}

async function countStale({ engine, cipher }: Work, table: SealedTable): Promise<number> {
  const query = sql<{ rows: number }>`SELECT count(*) AS rows FROM ${sql.table(table)} WHERE ${isStale(table, cipher)}`;
  const { rows } = await engine.transaction(({ kysely }) => query.execute(kysely), PATIENT);
  return Number(rows[0]!.rows);
}

async function refuseLeftOver(work: Work): Promise<void> {
  let left = 0;
  for (const table of TABLES) left += await countStale(work, table);
  if (left === 0) return;
  const [first] = work.unreadable;
  throw new Error(
    first
      ? `${left} row(s) were left as they are: ${first.message}`
      : `${left} row(s) were written under another key meanwhile: have all servers write under key ${work.cipher.currentId}, then do this again`,
  );
}

async function forgetOtherKeys({ engine, cipher }: Work): Promise<void> {
  await engine.transaction(({ kysely }) =>
    kysely
      .deleteFrom('encryption_keys')
      .where('key_id', '<>', cipher.currentId ?? '')
      .execute(),
  );
}

const MAX_TRIES = 10;

async function retryConflicts<T>(work: () => Promise<T>): Promise<T> {
  for (let left = MAX_TRIES; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (!isConflict(error) || left === 1) throw error;
    }
  }
}
