import type { Compilable, CompiledQuery, Expression, Kysely, RawBuilder } from 'kysely';
import type { Database } from './schema.ts';

/**
 * The one seam between engines. Verbs ask an engine for these and never for its name.
 */
export interface Engine {
  readonly dialect: Dialect;
  /** For reads outside a commit: sees only what is committed. */
  readonly reader: Querier;
  /** Runs `work` in one durable transaction and answers after its commit. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Milliseconds since the epoch, by the database's own clock where it has one. */
  now(): Promise<number>;
  close(): Promise<void>;
}

export interface Querier {
  readonly kysely: Kysely<Database>;
  /** Runs a statement that was compiled once, with the given arguments. */
  all<Args extends readonly unknown[], Row>(statement: Statement<Args, Row>, args: Args): Promise<Row[]>;
}

export interface Transaction extends Querier {
  readonly now: number;
  /** Inserts rows of one shape and answers their growing keys, in order. */
  insertRows<Table extends 'tasks' | 'events' | 'task_logs'>(
    table: Table,
    rows: readonly Row<Table>[],
  ): Promise<number[]>;
  /** Sets the named columns of each row, by `seq`; all rows have the same columns. */
  updateTasks(rows: readonly ({ seq: number } & Partial<Row<'tasks'>>)[]): Promise<void>;
}

export type Row<Table extends keyof Database> = {
  [Column in keyof Database[Table] as Column extends 'seq' ? never : Column]: Database[Table][Column];
};

/** What engines write differently. */
export interface Dialect {
  readonly name: string;
  /** Type of a growing key that is never used twice. */
  readonly identity: string;
  /** `column` is one of the elements of a JSON array of strings. */
  inStrings(column: Expression<string>, json: string): RawBuilder<boolean>;
  /** `column` is one of the elements of a JSON array of integers. */
  inIntegers(column: Expression<number>, json: string): RawBuilder<boolean>;
  /** A JSON array column shares an element with a JSON array of strings. */
  sharesElement(column: Expression<string | null>, json: string): RawBuilder<boolean>;
  /** Appended to a SELECT that reads rows to write them; empty where the transaction alone writes. */
  readonly forUpdate: RawBuilder<unknown>;
  /** The same, leaving out rows that another transaction holds. */
  readonly forUpdateSkipLocked: RawBuilder<unknown>;
}

/** A query built and compiled once an engine; `arg(0)` stands for the first argument. */
export interface Statement<Args extends readonly unknown[], Row> {
  readonly build: (kysely: Kysely<Database>, arg: ArgOf<Args>, dialect: Dialect) => Compilable<Row>;
}
export type ArgOf<Args extends readonly unknown[]> = <Index extends keyof Args & number>(index: Index) => Args[Index];

export function defineStatement<Args extends readonly unknown[], Row>(
  build: Statement<Args, Row>['build'],
): Statement<Args, Row> {
  return { build };
}

/** Compiles statements at first use. Placeholders are told apart from constants by their identity. */
export class StatementCache {
  readonly #kysely: Kysely<Database>;
  readonly #dialect: Dialect;
  readonly #compiled = new Map<unknown, { query: CompiledQuery; slots: readonly (number | null)[] }>();

  constructor(kysely: Kysely<Database>, dialect: Dialect) {
    this.#kysely = kysely;
    this.#dialect = dialect;
  }

  bind<Args extends readonly unknown[], Row>(statement: Statement<Args, Row>, args: Args): CompiledQuery<Row> {
    let entry = this.#compiled.get(statement);
    if (!entry) {
      entry = this.#compile(statement);
      this.#compiled.set(statement, entry);
    }
    const { query, slots } = entry;
    const parameters = query.parameters.map((constant, index) => {
      const slot = slots[index] ?? null;
      return slot === null ? constant : args[slot];
    });
    return { ...query, parameters } as CompiledQuery<Row>;
  }

  #compile(statement: Statement<never, unknown>): { query: CompiledQuery; slots: (number | null)[] } {
    const placeholders: Placeholder[] = [];
    const arg = (index: number): never => {
      placeholders[index] ??= new Placeholder(index);
      // Kysely carries parameters through untouched; a placeholder never reaches a database.
      return placeholders[index] as never;
    };
    const query = statement.build(this.#kysely, arg as ArgOf<never>, this.#dialect).compile();
    const slots = query.parameters.map((value) => (value instanceof Placeholder ? value.index : null));
    return { query, slots };
  }
}

class Placeholder {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}
