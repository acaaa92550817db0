import SqliteDatabase from 'better-sqlite3';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Kysely, sql } from 'kysely';
import {
  StatementCache,
  type Dialect,
  type Engine,
  type OnStatement,
  type Querier,
  type Statement,
  type Transaction,
} from '../engine.ts';
import type { Database } from '../schema.ts';
import { SqliteConnection, sqliteDialect } from './kysely-dialect.ts';
import { LogFlusher } from './log-flusher.ts';
import { RowWriter } from './row-writer.ts';
import { WatchedConnection } from './watched-connection.ts';

export interface SqliteOptions {
  /** File path, or `:memory:`. */
  path: string;
  /** `full` survives power loss; `normal` a crash of the process only. */
  durability: 'full' | 'normal';
  enableWalMode: boolean;
  busyTimeoutSeconds: number;
  /** Milliseconds since the epoch. */
  clock: () => number;
  onStatement?: OnStatement | undefined;
}

export const SQLITE: Dialect = {
  name: 'sqlite',
  isShared: false,
  tokens: {
    // Without AUTOINCREMENT SQLite takes the largest key plus one: retention leaves the newest row alone.
    identity: 'INTEGER PRIMARY KEY',
    text: 'TEXT',
  },
  newerVersionsAllowed: 0,
  continueKeys: () => null,
  migrationLock: null,
  elements: (json) => sql`json_each(${json})`,
  inStrings: (column, json) => sql`${column} IN (SELECT value FROM json_each(${json}))`,
  inIntegers: (column, json) => sql`${column} IN (SELECT value FROM json_each(${json}))`,
  sharesElement: (column, json) =>
    sql`EXISTS (SELECT 1 FROM json_each(${column}) own JOIN json_each(${json}) wanted ON own.value = wanted.value)`,
  hasLateral: false,
  waitingFlows: null,
  hasBands: true,
  // One connection writes, in transactions that hold the write lock from their start.
  forUpdate: sql``,
  forUpdateSkipLocked: sql``,
};

/** Opens the file and holds it: a second server on the same file is refused, also after a crash of the first. */
export function openSqliteEngine(options: SqliteOptions): Engine {
  const isFile = options.path !== ':memory:';
  if (isFile) mkdirSync(dirname(options.path), { recursive: true });
  const lock = isFile ? holdFile(options.path) : null;
  const writer = connect(options);
  // Readers see only commits: in a file through a connection of their own, in memory by waiting for the writer.
  const reader = isFile ? connect({ ...options, readonly: true }) : connectionTo(writer.database, options);
  if (!isFile) reader.beforeStatement = () => writer.transaction;
  const writerKysely = new Kysely<Database>({ dialect: sqliteDialect(writer) });
  const readerKysely = new Kysely<Database>({ dialect: sqliteDialect(reader) });
  const statements = new StatementCache(writerKysely, SQLITE);
  const statementsOfTransaction = sqliteTransaction({ kysely: writerKysely, writer, statements });
  const flusher = flushesItself(options)
    ? new LogFlusher({
        path: `${options.path}-wal`,
        countWrites: () => writer.writes,
        checkpoint: () => checkpoint(writer.database),
      })
    : null;
  // What is committed but not on the disk yet may be read, but nobody hears of it.
  if (flusher) reader.beforeResult = () => flusher.underWay;

  return {
    dialect: SQLITE,
    reader: querier(readerKysely, reader, statements),
    async transaction(work, { onCommitted } = {}) {
      const result = await writer.transact(() => work({ ...statementsOfTransaction, now: options.clock() }));
      if (flusher) {
        onCommitted?.();
        await flusher.flush();
      }
      return result;
    },
    clock: options.clock,
    now: async () => options.clock(),
    async eventHorizon() {
      const row = await readerKysely
        .selectFrom('events')
        .select('seq')
        .orderBy('seq', 'desc')
        .limit(1)
        .executeTakeFirst();
      return { settled: row?.seq ?? 0, drawn: row?.seq ?? 0 };
    },
    maxConcurrentCommits: 1,
    peers: null,
    countServers: async () => 0,
    async scrub() {
      if (isFile) rewriteFile(writer.database);
    },
    async close() {
      if (isFile) await readerKysely.destroy();
      flusher?.close();
      await writerKysely.destroy();
      lock?.close();
    },
  };
}

/** Pages that are free keep what was in them. */
function rewriteFile(database: SqliteDatabase.Database): void {
  // The copy that it makes on the way may be large.
  database.pragma('temp_store = FILE');
  database.exec('VACUUM');
  database.pragma('wal_checkpoint(TRUNCATE)');
}

function checkpoint(database: SqliteDatabase.Database): void {
  const [outcome] = database.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
  if (outcome?.busy !== 0) throw new Error('the write-ahead log is being read, so it cannot be emptied');
}

/** Where there is a write-ahead log, we flush it. */
function flushesItself({ path, durability, enableWalMode }: SqliteOptions): boolean {
  return path !== ':memory:' && durability === 'full' && enableWalMode;
}

function connect(options: SqliteOptions & { readonly?: boolean }): SqliteConnection {
  return connectionTo(open(options), options);
}

function connectionTo(database: SqliteDatabase.Database, { onStatement }: SqliteOptions): SqliteConnection {
  return onStatement === undefined ? new SqliteConnection(database) : new WatchedConnection(database, onStatement);
}

function open(options: SqliteOptions & { readonly?: boolean }): SqliteDatabase.Database {
  return naming(options.path, () => {
    const database = new SqliteDatabase(options.path, {
      readonly: options.readonly ?? false,
      timeout: options.busyTimeoutSeconds * 1000,
    });
    if (!options.readonly) {
      database.pragma(`journal_mode = ${options.enableWalMode ? 'WAL' : 'DELETE'}`);
      const flushesEachCommit = options.durability === 'full' && !flushesItself(options);
      database.pragma(`synchronous = ${flushesEachCommit ? 'FULL' : 'NORMAL'}`);
      // Four times the usual: a page that many commits touch is then brought into the file once for all of them.
      database.pragma('wal_autocheckpoint = 4000');
      database.pragma('journal_size_limit = 67108864');
    }
    database.pragma('temp_store = MEMORY');
    // What is in use lies on few pages, and the system caches the file anyway.
    database.pragma('cache_size = -4096');
    return database;
  });
}

/** SQLite's own file lock on a file beside the database; the system drops it when the process dies. */
export function holdFile(path: string): SqliteDatabase.Database {
  const lockPath = `${path}.lock`;
  const lock = naming(lockPath, () => new SqliteDatabase(lockPath, { timeout: 0 }));
  try {
    // SQLite would open a file that it may only read, and lock nobody out.
    accessSync(lockPath, constants.W_OK);
    naming(lockPath, () => {
      lock.pragma('locking_mode = EXCLUSIVE');
      lock.exec('BEGIN EXCLUSIVE');
    });
    return lock;
  } catch (error) {
    lock.close();
    const isHeld = error instanceof SqliteDatabase.SqliteError && error.code.startsWith('SQLITE_BUSY');
    throw isHeld ? new Error(`database ${path} is in use by another server`, { cause: error }) : error;
  }
}

/** SQLite says what is wrong, but not with which file. */
export function naming<Value>(path: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SqliteDatabase.SqliteError)) throw error;
    throw new SqliteDatabase.SqliteError(`${path}: ${error.message}`, error.code);
  }
}

/** Runs compiled statements on the connection itself: Kysely's way there costs as much as a look-up. */
function querier(kysely: Kysely<Database>, connection: SqliteConnection, statements: StatementCache): Querier {
  return {
    dialect: SQLITE,
    kysely,
    async all<Args extends readonly unknown[], R>(statement: Statement<Args, R>, args: Args) {
      const { sql: text, parameters } = statements.bind(statement, args);
      return connection.all<R>(text, parameters);
    },
  };
}

function sqliteTransaction(context: {
  kysely: Kysely<Database>;
  writer: SqliteConnection;
  statements: StatementCache;
}): Omit<Transaction, 'now'> {
  const { kysely, writer, statements } = context;
  const rows = new RowWriter(writer);
  return {
    ...querier(kysely, writer, statements),

    // The only server, and the only transaction that writes.
    async lockHandOut() {},

    insertTasks: async (columns, values) => rows.insert('tasks', columns, values),

    async appendRows(table, values) {
      if (values[0]) rows.insert(table, Object.keys(values[0]), values);
    },

    async updateTasks(values) {
      if (values.length > 0) rows.updateTasks(values);
    },
  };
}
