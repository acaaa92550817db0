import { CompiledQuery, Kysely } from 'kysely';
import { StatementCache, type Engine, type OnStatement, type Statement } from '../engine.ts';
import type { Database } from '../schema.ts';
import { EventHorizons } from './event-horizon.ts';
import { PostgresConnection, postgresDialect, StatementNames } from './postgres-connection.ts';
import { POSTGRES } from './postgres.ts';
import { LISTENER_NAME, PostgresPeers } from './postgres-peers.ts';
import { openPool, waitUntilReachable } from './postgres-pool.ts';
import { transact } from './postgres-transaction.ts';
import { RowWriter } from './row-writer.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?sslmode=…` */
  url: string;
  /** `full` answers after the flush to disk; `normal` may lose the last moments at a crash of the database. */
  durability: 'full' | 'normal';
  maxConnections: number;
  minConnections: number;
  connectionTimeoutSeconds: number;
  idleTimeoutSeconds: number;
  onError: (error: unknown, doing: string) => void;
  onStatement?: OnStatement | undefined;
  /** Instead of the clock of the database, for tests: milliseconds since the epoch. */
  clock?: (() => number) | undefined;
}

/** Commits of one server that overlap hide each other's wait for the disk; more only wait for the same rows. */
const CONCURRENT_COMMITS = 4;

/**
 * Opens a pool of connections, and one more that listens to the other servers. A database that is down is waited for.
 * @throws one line, when it cannot be reached in time or lets nobody in.
 */
export async function openPostgresEngine(options: PostgresOptions): Promise<Engine> {
  const pool = openPool(options);
  try {
    await waitUntilReachable(pool, options.url, options.connectionTimeoutSeconds);
  } catch (error) {
    await pool.end();
    throw error;
  }
  const names = new StatementNames();
  const borrow = () => PostgresConnection.borrow(pool, names, options.onStatement);
  const kysely = new Kysely<Database>({ dialect: postgresDialect(borrow, (connection) => connection.giveBack()) });
  const statements = new StatementCache(kysely, POSTGRES);
  const rows = new RowWriter();
  const peers = new PostgresPeers({ ...options });
  const horizon = new EventHorizons();
  let clockOffset = 0;

  const withConnection = async <T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> => {
    const connection = await borrow();
    try {
      return await work(connection);
    } finally {
      connection.giveBack();
    }
  };

  const readTime = async (connection: PostgresConnection): Promise<number> => {
    if (options.clock) return options.clock();
    const [row] = await connection.all(CLOCK);
    clockOffset = row!.now - Date.now();
    return row!.now;
  };

  return {
    dialect: POSTGRES,
    reader: {
      dialect: POSTGRES,
      kysely,
      all: <Args extends readonly unknown[], R>(statement: Statement<Args, R>, args: Args) =>
        withConnection((connection) => connection.all(statements.bind(statement, args))),
    },
    transaction: (work, { isPatient = false } = {}) =>
      withConnection(async (connection) => {
        connection.isPatient = isPatient;
        try {
          return await transact(connection, { statements, rows, readTime }, work);
        } finally {
          connection.isPatient = false;
        }
      }),
    clock: options.clock ?? (() => Date.now() + clockOffset),
    now: () => withConnection(readTime),
    eventHorizon: () => withConnection((connection) => horizon.read(connection)),
    maxConcurrentCommits: Math.max(1, Math.min(CONCURRENT_COMMITS, options.maxConnections - 1)),
    peers,
    countServers: async () => (await withConnection((connection) => connection.all(SERVERS)))[0]!.count,
    // VACUUM FULL would lock servers out for as long as it takes: the owner of the database decides on that.
    async scrub() {},
    async close() {
      await peers.close();
      await pool.end();
    },
  };
}

/** Leases of all servers go by the clock of the database. */
const CLOCK = CompiledQuery.raw(
  'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
) as CompiledQuery<{ now: number }>;

const SERVERS = CompiledQuery.raw(`
  SELECT count(*) AS count FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = '${LISTENER_NAME}'`) as CompiledQuery<{ count: number }>;
