import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type QueryResult,
} from 'kysely';
import type pg from 'pg';
import type { OnStatement } from '../engine.ts';
import type { Database } from '../schema.ts';
import { statementDriver } from '../statement-driver.ts';

/** A connection that has not answered for this long is given up. */
const QUERY_TIMEOUT_MS = 60_000;

/**
 * One connection. Other than with Kysely's own dialect, statements do not wait for each other: they go out at once
 * and are answered in order (pipelining).
 */
export class PostgresConnection implements DatabaseConnection {
  readonly #client: pg.PoolClient;
  readonly #names: StatementNames;
  readonly #onStatement: OnStatement | undefined;
  /** For queries built on the spot. */
  readonly kysely: Kysely<Database>;
  /** Statements may take as long as they want: a migration, or the wait for that of another server. */
  isPatient = false;

  private constructor(client: pg.PoolClient, names: StatementNames, onStatement: OnStatement | undefined) {
    this.#client = client;
    this.#names = names;
    this.#onStatement = onStatement;
    this.kysely = new Kysely({
      dialect: postgresDialect(
        async () => this,
        () => undefined,
      ),
    });
  }

  static async borrow(pool: pg.Pool, names: StatementNames, onStatement?: OnStatement): Promise<PostgresConnection> {
    const client = await pool.connect();
    let connection = connections.get(client);
    if (!connection) {
      connection = new PostgresConnection(client, names, onStatement);
      connections.set(client, connection);
    }
    return connection;
  }

  giveBack(): void {
    this.#client.release();
  }

  /** A statement that is used over and over: the server keeps it parsed. */
  async all<Row>({ sql, parameters }: CompiledQuery<Row>): Promise<Row[]> {
    const name = this.#names.of(sql);
    return (await this.#query<Row>({ name, text: sql, values: [...parameters] })).rows;
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const { command, rowCount, rows } = await this.#query<Row>({ text: sql, values: [...parameters] });
    const isWrite = command === 'INSERT' || command === 'UPDATE' || command === 'DELETE';
    return isWrite ? { numAffectedRows: BigInt(rowCount ?? 0), rows } : { rows };
  }

  /** @throws when the server rolls back instead, because a statement before has failed. */
  async commit(): Promise<void> {
    const { command } = await this.#query({ text: 'COMMIT' });
    if (command !== 'COMMIT') throw new Error('the transaction had failed before its commit');
  }

  #query<Row>(query: pg.QueryConfig): Promise<pg.QueryResult<Row & pg.QueryResultRow>> {
    const answer = this.#client.query({ ...query, ...(!this.isPatient && { query_timeout: QUERY_TIMEOUT_MS }) });
    if (this.#onStatement !== undefined) watch(answer, query.text, this.#onStatement);
    return answer;
  }

  streamQuery(): AsyncIterableIterator<never> {
    throw new Error('streaming is not used: results are read in pages');
  }
}

function watch(answer: Promise<unknown>, text: string, onStatement: OnStatement): void {
  const startedAt = performance.now();
  const tell = () => onStatement({ text, startedAt });
  answer.then(tell, tell);
}

const connections = new WeakMap<pg.PoolClient, PostgresConnection>();

/** Kysely on connections that are borrowed for a statement at a time. */
export function postgresDialect(
  borrow: () => Promise<PostgresConnection>,
  giveBack: (connection: PostgresConnection) => void,
): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => statementDriver({ borrow, giveBack }),
    createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
}

/** One name for each text that the servers of one pool keep parsed. */
export class StatementNames {
  readonly #names = new Map<string, string>();

  of(text: string): string {
    let name = this.#names.get(text);
    if (name === undefined) {
      name = `statement_${this.#names.size + 1}`;
      this.#names.set(text, name);
    }
    return name;
  }
}
