import { CompiledQuery, sql, type Kysely } from 'kysely';
import type { Row } from '../engine.ts';
import type { Database } from '../schema.ts';

type Table = 'tasks' | 'events' | 'task_logs';

/** Writes many rows in one statement, from one JSON parameter; the statement of a shape is built once. */
export class RowWriter {
  readonly #statements = new Map<string, string>();
  #types: Promise<ReadonlyMap<string, string>> | null = null;

  /** Answers the keys in the order of the rows: they are drawn first, and then written with the rows. */
  async insert(kysely: Kysely<Database>, table: Table, rows: readonly object[]): Promise<number[]> {
    const [first] = rows;
    if (!first) return [];
    const columns = Object.keys(first);
    const text = await this.#statementFor(kysely, `insert ${table} ${columns.join()}`, (typeOf) => {
      const list = columns.join(', ');
      const typed = columns.map((column) => `${column} ${typeOf(table, column)}`).join(', ');
      return `WITH numbered AS MATERIALIZED (
          SELECT nextval(pg_get_serial_sequence('${table}', 'seq')) AS seq, ${list}, position
          FROM ROWS FROM (json_to_recordset($1::json) AS (${typed})) WITH ORDINALITY AS given(${list}, position)
          ORDER BY position
        ), written AS (
          INSERT INTO ${table} (seq, ${list}) SELECT seq, ${list} FROM numbered
        )
        SELECT seq FROM numbered ORDER BY position`;
    });
    const result = await kysely.executeQuery<{ seq: number }>(CompiledQuery.raw(text, [JSON.stringify(rows)]));
    return result.rows.map(({ seq }) => seq);
  }

  async updateTasks(
    kysely: Kysely<Database>,
    rows: readonly ({ seq: number } & Partial<Row<'tasks'>>)[],
  ): Promise<void> {
    for (const distinct of splitRepeated(rows)) {
      const columns = Object.keys(distinct[0]!).filter((column) => column !== 'seq');
      const text = await this.#statementFor(kysely, `update ${columns.join()}`, (typeOf) => {
        const typed = columns.map((column) => `${column} ${typeOf('tasks', column)}`).join(', ');
        const sets = columns.map((column) => `${column} = given.${column}`).join(', ');
        return `UPDATE tasks SET ${sets}
          FROM json_to_recordset($1::json) AS given(seq BIGINT, ${typed}) WHERE tasks.seq = given.seq`;
      });
      await kysely.executeQuery(CompiledQuery.raw(text, [JSON.stringify(distinct)]));
    }
  }

  async #statementFor(
    kysely: Kysely<Database>,
    shape: string,
    build: (typeOf: (table: Table, column: string) => string) => string,
  ): Promise<string> {
    let text = this.#statements.get(shape);
    if (text === undefined) {
      this.#types ??= readColumnTypes(kysely);
      const types = await this.#types;
      text = build((table, column) => {
        const type = types.get(`${table}.${column}`);
        if (type === undefined) throw new Error(`table ${table} has no column ${column}`);
        return type;
      });
      this.#statements.set(shape, text);
    }
    return text;
  }
}

async function readColumnTypes(kysely: Kysely<Database>): Promise<ReadonlyMap<string, string>> {
  const { rows } = await sql<{ name: string; type: string }>`
    SELECT table_name || '.' || column_name AS name, data_type AS type
    FROM information_schema.columns WHERE table_schema = current_schema()`.execute(kysely);
  return new Map(rows.map(({ name, type }) => [name, type]));
}

/** One UPDATE sets a row once: rows that come again go into a statement after it. */
function splitRepeated<Item extends { seq: number }>(rows: readonly Item[]): Item[][] {
  const parts: { seen: Set<number>; rows: Item[] }[] = [];
  for (const row of rows) {
    let part = parts.at(-1);
    if (!part || part.seen.has(row.seq)) {
      part = { seen: new Set(), rows: [] };
      parts.push(part);
    }
    part.seen.add(row.seq);
    part.rows.push(row);
  }
  return parts.map((part) => part.rows);
}
