import { sql } from 'kysely';
import type { Engine } from '../db/engine.ts';
import { COPIED_TABLES, type CopiedTable } from './copied-tables.ts';

export type AnyRow = Record<string, string | number | null>;

const ROWS_PER_PAGE = 200;

/** All rows of a table from after the first `skip` ones, in the order in which they are copied. */
export async function* readPages(engine: Engine, table: CopiedTable, skip = 0): AsyncGenerator<AnyRow[]> {
  if (COPIED_TABLES[table] === null) {
    const rows = await readRows(engine, sql`SELECT * FROM ${sql.table(table)}`);
    yield rows.map(sortColumns).sort(compareRows).slice(skip);
  } else
    for await (const rows of readInOrder(engine, { table, keys: COPIED_TABLES[table], skip }))
      yield rows.map(sortColumns);
}

async function* readInOrder(
  engine: Engine,
  query: { table: CopiedTable; keys: readonly string[]; skip: number },
): AsyncGenerator<AnyRow[], undefined> {
  const { table, keys } = query;
  const order = sql.join(keys.map((key) => sql.ref(key)));
  let last: AnyRow | undefined;
  for (;;) {
    const from = last
      ? sql`WHERE (${order}) > (${sql.join(keys.map((key) => last![key]))}) ORDER BY ${order} LIMIT ${ROWS_PER_PAGE}`
      : sql`ORDER BY ${order} LIMIT ${ROWS_PER_PAGE} OFFSET ${query.skip}`;
    const rows = await readRows(engine, sql`SELECT * FROM ${sql.table(table)} ${from}`);
    if (rows.length > 0) yield rows;
    if (rows.length < ROWS_PER_PAGE) return;
    last = rows.at(-1);
  }
}

async function readRows({ reader }: Engine, query: ReturnType<typeof sql>): Promise<AnyRow[]> {
  // Columns hold text, numbers and nothing else, in every engine.
  return (await query.execute(reader.kysely)).rows as AnyRow[];
}

/** Engines list columns each in their own order. */
function sortColumns(row: AnyRow): AnyRow {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function compareRows(a: AnyRow, b: AnyRow): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
