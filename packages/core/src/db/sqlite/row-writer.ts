import { splitRepeated } from '../split-repeated.ts';
import { PLACEHOLDER, type SqliteConnection } from './kysely-dialect.ts';

/** Rows of one statement: as many of the largest number as there are, then of the next. */
const SIZES = [16, 4, 1];

interface Shape {
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
    this.#write({ table, columns, rows, build: insertText }, (lastKey, size) => {
      for (let key = lastKey - size + 1; key <= lastKey; key++) keys.push(key);
    });
    return keys;
  }

  /** Sets the named columns of each row, by `seq`; all rows have the same columns. */
  updateTasks(rows: readonly { readonly seq: number }[]): void {
    const columns = Object.keys(rows[0]!);
    for (const distinct of splitRepeated(rows)) {
      this.#write({ table: 'tasks', columns, rows: distinct, build: updateText }, () => {});
    }
  }

  #write(
    given: { table: string; columns: readonly string[]; rows: readonly object[]; build: (shape: Shape) => string },
    onWritten: (lastKey: number, size: number) => void,
  ): void {
    const { table, columns, build } = given;
    const rows = given.rows as readonly Readonly<Record<string, unknown>>[];
    const [first] = rows;
    if (!first) return;
    const isShared = (column: string) => rows.length > 1 && rows.every((row) => row[column] === first[column]);
    const own = columns.filter((column) => !isShared(column));
    const shared = columns.filter((column) => !own.includes(column));
    const common = Object.fromEntries(shared.map((column) => [column, first[column]]));
    for (let start = 0; start < rows.length;) {
      const size = SIZES.find((size) => size <= rows.length - start)!;
      const values = rows.slice(start, start + size).flatMap((row) => own.map((column) => row[column]));
      const text = this.#textFor({ table, shared, own, size }, build);
      onWritten(Number(this.#connection.prepare(text).run(common, values).lastInsertRowid), size);
      start += size;
    }
  }

  #textFor(shape: Shape, build: (shape: Shape) => string): string {
    const key = `${build.name} ${shape.table} ${shape.size} ${shape.own.join()} ${shape.shared.join()}`;
    let text = this.#texts.get(key);
    if (text === undefined) this.#texts.set(key, (text = build(shape)));
    return text;
  }
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
