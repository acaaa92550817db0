import type SqliteDatabase from 'better-sqlite3';
import type { OnStatement } from '../engine.ts';
import { SqliteConnection } from './kysely-dialect.ts';

/** A connection that tells of each execution of a statement. */
export class WatchedConnection extends SqliteConnection {
  readonly #onStatement: OnStatement;
  readonly #watched = new WeakSet<SqliteDatabase.Statement>();

  constructor(database: SqliteDatabase.Database, onStatement: OnStatement) {
    super(database);
    this.#onStatement = onStatement;
  }

  override prepare(sql: string): SqliteDatabase.Statement {
    const statement = super.prepare(sql);
    if (!this.#watched.has(statement)) {
      this.#watched.add(statement);
      statement.all = this.#watch(sql, statement.all.bind(statement));
      statement.run = this.#watch(sql, statement.run.bind(statement));
    }
    return statement;
  }

  #watch<Args extends unknown[], Result>(text: string, execute: (...args: Args) => Result): (...args: Args) => Result {
    return (...args) => {
      const startedAt = performance.now();
      try {
        return execute(...args);
      } finally {
        this.#onStatement({ text, startedAt });
      }
    };
  }
}
