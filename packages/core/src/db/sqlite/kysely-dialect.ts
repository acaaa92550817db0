import type SqliteDatabase from 'better-sqlite3';
import {
  CompiledQuery,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type Dialect,
  type Kysely,
  type QueryResult,
} from 'kysely';
import { statementDriver } from '../statement-driver.ts';

/** Kysely on one better-sqlite3 connection, with prepared statements kept: Kysely's own dialect prepares at every call. */
export function sqliteDialect(connection: SqliteConnection): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () =>
      statementDriver({ borrow: async () => connection, destroy: () => void connection.database.close() }),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    createQueryCompiler: () => new QueryCompiler(),
  };
}

/**
 * `+?` is the value as it stands. A bare `?` beside an ORDER BY or a partial index lets SQLite look at the value while it
 * plans, and plan anew at each execution: eight times the cost of a look-up (measured on 3.54, 41 against 5 µs).
 */
export const PLACEHOLDER = '+?';

class QueryCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return PLACEHOLDER;
  }
}

/** The statements a server uses are few and fixed; a bound keeps ad hoc filters from piling up. */
const MAX_STATEMENTS = 500;

export class SqliteConnection implements DatabaseConnection {
  readonly database: SqliteDatabase.Database;
  readonly #statements = new Map<string, SqliteDatabase.Statement>();
  /** Whether a statement of the transaction under way may have written. */
  #hasWritten = false;
  #transaction: Promise<void> | null = null;
  /** Transactions that may have written and are committed. */
  writes = 0;
  /** What a statement waits for before it is run, and again until there is nothing. */
  beforeStatement: () => Promise<void> | null = () => null;
  /** What a result waits for before it is given out. */
  beforeResult: () => Promise<void> | null = () => null;

  constructor(database: SqliteDatabase.Database) {
    this.database = database;
  }

  /** The statement, to be run at once: that it may write is noted here. */
  prepare(sql: string): SqliteDatabase.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.database.prepare(sql);
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.delete(this.#statements.keys().next().value!);
      this.#statements.set(sql, statement);
    }
    if (!statement.readonly) this.#hasWritten = true;
    return statement;
  }

  /** The one under way; null if there is none. */
  get transaction(): Promise<void> | null {
    return this.#transaction;
  }

  /**
   * Runs `work` in a transaction that holds the write lock from its start: one that asked for it half way could be refused.
   * The next one waits for its end.
   */
  async transact<T>(work: () => Promise<T>): Promise<T> {
    while (this.#transaction !== null) await this.#transaction;
    const { promise, resolve: end } = Promise.withResolvers<void>();
    this.#transaction = promise;
    try {
      this.prepare('BEGIN IMMEDIATE').run();
      this.#hasWritten = false;
      const result = await work();
      this.prepare('COMMIT').run();
      if (this.#hasWritten) this.writes++;
      return result;
    } catch (error) {
      // A full disk or an I/O error may have rolled back already.
      if (this.database.inTransaction) this.prepare('ROLLBACK').run();
      throw error;
    } finally {
      this.#transaction = null;
      end();
    }
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const statement = this.prepare(sql);
    if (statement.reader) return { rows: await this.all<Row>(sql, parameters) };
    const { changes } = statement.run(...parameters);
    return { numAffectedRows: BigInt(changes), rows: [] };
  }

  /** What the statement answers: nothing, if it only writes. */
  async all<Row>(sql: string, parameters: readonly unknown[]): Promise<Row[]> {
    for (let busy = this.beforeStatement(); busy !== null; busy = this.beforeStatement()) await busy;
    const statement = this.prepare(sql);
    if (!statement.reader) {
      statement.run(...parameters);
      return [];
    }
    const rows = statement.all(...parameters) as Row[];
    const pending = this.beforeResult();
    if (pending !== null) await pending;
    return rows;
  }

  streamQuery(): AsyncIterableIterator<never> {
    throw new Error('streaming is not used: results are read in pages');
  }
}
