import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { Engine, Row, Transaction } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { SEALED, type Cipher } from './cipher.ts';

/** What is encrypted. */
export const SEALED_COLUMNS = {
  tasks: ['prompt', 'result'],
  task_logs: ['text'],
} as const satisfies { [Table in keyof Database]?: readonly (keyof Database[Table])[] };

export type SealedTable = keyof typeof SEALED_COLUMNS;
export type SealedColumn = (typeof SEALED_COLUMNS)[SealedTable][number];

export interface ResealedRow {
  readonly seq: number;
  /** Of the columns that are encrypted, in their order. */
  readonly values: readonly (string | null)[];
}

/** With the columns that its table encrypts, and those that their values are bound to. */
export type StaleRow = { seq: number; task_id: string } & Partial<Row<'tasks'> & Row<'task_logs'>>;

/** A prompt and a result may have more than a megabyte together. */
const ROWS_PER_STEP = 50;

/** The first rows after `after` in which a value is not written as it would be now. */
export async function readStale(
  tx: Transaction,
  table: SealedTable,
  cipher: Cipher,
  after: number,
): Promise<StaleRow[]> {
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

/** All of them in one statement; a list of VALUES has the same column names in both engines. */
export async function updateRows(
  kysely: Kysely<Database>,
  table: SealedTable,
  rows: readonly ResealedRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const names = SEALED_COLUMNS[table];
  const values = rows.map(
    (row) => sql`(CAST(${row.seq} AS BIGINT), ${sql.join(row.values.map((value) => sql`CAST(${value} AS TEXT)`))})`,
  );
  const sets = names.map((name, index) => sql`${sql.ref(name)} = given.${sql.ref(`column${index + 2}`)}`);
  await sql`
    UPDATE ${sql.table(table)} SET ${sql.join(sets)} FROM (VALUES ${sql.join(values)}) AS given
    WHERE ${sql.ref(`${table}.seq`)} = given.column1`.execute(kysely);
}

/** Where few rows of many are stale, it takes a while to find them. */
export const PATIENT = { isPatient: true };

export async function countStale(engine: Engine, cipher: Cipher, table: SealedTable): Promise<number> {
  const query = sql<{ rows: number }>`SELECT count(*) AS rows FROM ${sql.table(table)} WHERE ${isStale(table, cipher)}`;
  const { rows } = await engine.transaction(({ kysely }) => query.execute(kysely), PATIENT);
  return Number(rows[0]!.rows);
}
