import { CompiledQuery } from 'kysely';
import type { Row } from '../engine.ts';
import { splitRepeated } from '../split-repeated.ts';
import type { PostgresConnection } from './postgres-connection.ts';

type Table = 'tasks' | 'events' | 'task_logs';

/** Writes many rows in one statement, from one JSON parameter; the statement of a shape is built once. */
export class RowWriter {
  readonly #statements = new Map<string, string>();
  #types: ReadonlyMap<string, string> | null = null;

  /** What columns hold must be known before statements are built. */
  async prepare(connection: Pick<PostgresConnection, 'all'>): Promise<void> {
    if (this.#types !== null) return;
    const rows = await connection.all(COLUMN_TYPES);
    this.#types = new Map(rows.map(({ name, type }) => [name, type]));
  }

  /** Answers the keys in the order of the rows: they are drawn first, and then written with the rows. */
  insertTasks(columns: readonly string[], rows: readonly object[]): CompiledQuery<{ seq: number }> {
    const text = this.#statementFor(`insert ${columns.join()}`, () => {
      const list = columns.join(', ');
      return `WITH numbered AS MATERIALIZED (
          SELECT nextval(pg_get_serial_sequence('tasks', 'seq')) AS seq, ${list}, position
          FROM ROWS FROM (json_to_recordset($1::json) AS (${this.#typed('tasks', columns)})) WITH ORDINALITY
            AS given(${list}, position)
          ORDER BY position
        ), written AS (
          INSERT INTO tasks (seq, ${list}) SELECT seq, ${list} FROM numbered
        )
        SELECT seq FROM numbered ORDER BY position`;
    });
    return CompiledQuery.raw(text, [JSON.stringify(rows, [...columns])]) as CompiledQuery<{ seq: number }>;
  }

  /** The same, in the order of the rows, where nobody asks for the keys. */
  append(table: Table, rows: readonly object[]): CompiledQuery {
    const columns = Object.keys(rows[0]!);
    const text = this.#statementFor(`append ${table} ${columns.join()}`, () => {
      const list = columns.join(', ');
      return `INSERT INTO ${table} (${list})
        SELECT ${list} FROM ROWS FROM (json_to_recordset($1::json) AS (${this.#typed(table, columns)})) WITH ORDINALITY
          AS given(${list}, position)
        ORDER BY position`;
    });
    return CompiledQuery.raw(text, [JSON.stringify(rows)]);
  }

  updateTasks(rows: readonly ({ seq: number } & Partial<Row<'tasks'>>)[]): CompiledQuery[] {
    return splitRepeated(rows).map((distinct) => {
      const columns = Object.keys(distinct[0]!).filter((column) => column !== 'seq');
      const text = this.#statementFor(`update ${columns.join()}`, () => {
        const sets = columns.map((column) => `${column} = given.${column}`).join(', ');
        return `UPDATE tasks SET ${sets}
          FROM json_to_recordset($1::json) AS given(seq BIGINT, ${this.#typed('tasks', columns)})
          WHERE tasks.seq = given.seq`;
      });
      return CompiledQuery.raw(text, [JSON.stringify(distinct)]);
    });
  }

  #statementFor(shape: string, build: () => string): string {
    let text = this.#statements.get(shape);
    if (text === undefined) {
      text = build();
      this.#statements.set(shape, text);
    }
    return text;
  }

  #typed(table: Table, columns: readonly string[]): string {
    return columns
      .map((column) => {
        const type = this.#types?.get(`${table}.${column}`);
        if (type === undefined) throw new Error(`table ${table} has no column ${column}`);
        return `${column} ${type}`;
      })
      .join(', ');
  }
}

const COLUMN_TYPES = CompiledQuery.raw(
  `SELECT table_name || '.' || column_name AS name, data_type AS type
  FROM information_schema.columns WHERE table_schema = current_schema()`,
) as CompiledQuery<{ name: string; type: string }>;
