import { splitRepeated } from '../split-repeated.ts';
import { PLACEHOLDER, type SqliteConnection } from './kysely-dialect.ts';

/** Rows of one statement: as many of the largest number as there are, then of the next. */
const SIZES = [16, 4, 1];
/** What rows have in common is up to callers; a bound keeps their texts from piling up. */
const MAX_TEXTS = 500;

interface Shape {
  readonly verb: 'INSERT' | 'UPDATE';
  readonly table: string;
  /** Columns that have one value in all rows; it is bound once. */
  readonly shared: readonly string[];
  /** Columns in which each row has its own. */
  readonly own: readonly string[];
  /** Rows of the statement. */
  readonly size: number;
}

/**
 * Writes many rows in few statements and with few values: to bind one costs about as much as to store it. `OR FAIL` spares
 * SQLite the notes it would need to undo half a statement; a commit that fails is undone whole.
 */
export class RowWriter {
  readonly #connection: SqliteConnection;
  readonly #texts = new Map<string, string>();

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  /** Inserts rows in their order, and answers their keys: one statement draws them one after the other. */
  insert(table: string, columns: readonly string[], rows: readonly object[]): number[] {
    const keys: number[] = [];
    this.#write({ verb: 'INSERT', table, columns, rows }, (lastKey, size) => {
      for (let key = lastKey - size + 1; key <= lastKey; key++) keys.push(key);
    });
    return keys;
  }

  /** Sets the named columns of each row, by `seq`; all rows have the same columns. */
  updateTasks(rows: readonly { readonly seq: number }[]): void {
    const columns = Object.keys(rows[0]!);
    for (const distinct of splitRepeated(rows)) {
      this.#write({ verb: 'UPDATE', table: 'tasks', columns, rows: distinct }, () => {});
    }
  }

  #write(
    given: Pick<Shape, 'verb' | 'table'> & { columns: readonly string[]; rows: readonly object[] },
    onWritten: (lastKey: number, size: number) => void,
  ): void {
    const { verb, table, columns } = given;
    const rows = given.rows as readonly Row[];
    const [first] = rows;
    if (!first) return;
    const shared = columns.filter((column) => isShared(rows, column));
    const own = columns.filter((column) => !shared.includes(column));
    const common = pick(first, shared);
    let start = 0;
    for (const size of SIZES) {
      if (rows.length - start < size) continue;
      const statement = this.#connection.prepare(this.#textFor({ verb, table, shared, own, size }));
      for (; rows.length - start >= size; start += size) {
        const values = valuesOf(rows, own, start, size);
        onWritten(Number(statement.run(common, values).lastInsertRowid), size);
      }
    }
  }

  #textFor(shape: Shape): string {
    const { verb, table, shared, own, size } = shape;
    const key = `${verb} ${table} ${size} ${own.join()} ${shared.join()}`;
    let text = this.#texts.get(key);
    if (text === undefined) {
      text = verb === 'INSERT' ? insertText(shape) : updateText(shape);
      if (this.#texts.size >= MAX_TEXTS) this.#texts.clear();
      this.#texts.set(key, text);
    }
    return text;
  }
}

type Row = Readonly<Record<string, unknown>>;

/** A single row shares nothing: its statement is then always the same. */
function isShared(rows: readonly Row[], column: string): boolean {
  const value = rows[0]?.[column];
  for (const row of rows) if (row[column] !== value) return false;
  return rows.length > 1;
}

function pick(row: Row, columns: readonly string[]): Row {
  const picked: Record<string, unknown> = {};
  for (const column of columns) picked[column] = row[column];
  return picked;
}

/** Row after row, in one list. */
function valuesOf(rows: readonly Row[], columns: readonly string[], start: number, size: number): unknown[] {
  const values: unknown[] = [];
  values.length = size * columns.length;
  let place = 0;
  for (let index = start; index < start + size; index++) {
    const row = rows[index]!;
    for (const column of columns) values[place++] = row[column];
  }
  return values;
}

function insertText({ table, shared, own, size }: Shape): string {
  const row = [...shared.map(named), ...own.map(() => PLACEHOLDER)].join(', ');
  const rows = Array.from({ length: size }, () => `(${row})`);
  return `INSERT OR FAIL INTO ${table} (${[...shared, ...own].join(', ')}) VALUES ${rows.join(', ')}`;
}

function updateText({ table, shared, own, size }: Shape): string {
  const key = `given.column${own.indexOf('seq') + 1}`;
  const sets = [
    ...shared.map((column) => `${column} = ${named(column)}`),
    ...own.flatMap((column, index) => (column === 'seq' ? [] : `${column} = given.column${index + 1}`)),
  ];
  const row = own.map(() => PLACEHOLDER).join(', ');
  const rows = Array.from({ length: size }, () => `(${row})`);
  return `UPDATE OR FAIL ${table} SET ${sets.join(', ')}
    FROM (VALUES ${rows.join(', ')}) AS given WHERE ${table}.seq = ${key}`;
}

function named(column: string): string {
  return `+@${column}`;
}
