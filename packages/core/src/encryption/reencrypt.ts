import { existsSync } from 'node:fs';
import type { Engine, Row, Transaction } from '../db/engine.ts';
import { migrate } from '../db/migrate.ts';
import { openEngine, type DatabaseOptions } from '../db/open-engine.ts';
import { isConflict } from '../db/outage.ts';
import { logColumn } from '../repository/logs.ts';
import { Cipher, UnreadableError, type EncryptionKeys } from './cipher.ts';
import { claimKey } from './keys-in-use.ts';
import {
  countStale,
  PATIENT,
  readStale,
  SEALED_COLUMNS,
  updateRows,
  type ResealedRow,
  type SealedColumn,
  type SealedTable,
  type StaleRow,
} from './stale-rows.ts';

const TABLES = ['tasks', 'task_logs'] as const satisfies readonly SealedTable[];

export interface ReencryptProgress {
  readonly table: string;
  /** Rows, of so many that there were to do at the start. */
  readonly done: number;
  readonly total: number;
}

export interface ReencryptReport {
  /** Under which all values are now; null: they are plain text. */
  readonly keyId: string | null;
  /** Rows that were written anew; the others were as they should be. */
  readonly rows: Readonly<Record<SealedTable, number>>;
}

/**
 * Writes all values anew that are not as the keys say new ones are written: under the current key, or as plain text. In
 * small transactions, so that after a kill the same call does the rest. On PostgreSQL servers may run meanwhile, if all of
 * them write under the current key. Afterwards no other key is needed.
 * @throws one line, when the database is in use, a key is missing, or values were left as they are.
 */
export async function reencryptDatabase(options: {
  database: DatabaseOptions;
  encryption: EncryptionKeys;
  onProgress?: (progress: ReencryptProgress) => void;
}): Promise<ReencryptReport> {
  const { database, encryption, onProgress = () => undefined } = options;
  if (database.engine === 'sqlite' && !existsSync(database.path))
    throw new Error(`there is no database ${database.path}`);
  const engine = await openEngine({ database });
  try {
    const cipher = new Cipher(encryption);
    await migrate(engine);
    await claimKey(engine, cipher);
    await refuseUse(engine, cipher);
    const work = { engine, cipher, onProgress, unreadable: [] };
    const rows = { tasks: await rewrite(work, 'tasks'), task_logs: await rewrite(work, 'task_logs') };
    await refuseLeftOver(work);
    await forgetOtherKeys(work);
    await engine.scrub();
    return { keyId: cipher.currentId, rows };
  } finally {
    await engine.close();
  }
}

interface Work {
  readonly engine: Engine;
  readonly cipher: Cipher;
  readonly onProgress: (progress: ReencryptProgress) => void;
  readonly unreadable: UnreadableError[];
}

/** A server that has a key would go on to encrypt. */
async function refuseUse(engine: Engine, { currentId }: Cipher): Promise<void> {
  const servers = currentId === null ? await engine.countServers() : 0;
  if (servers > 0) throw new Error(`the database is in use by ${servers} server(s): end them first`);
}

async function rewrite(work: Work, table: SealedTable): Promise<number> {
  const { engine, onProgress } = work;
  const total = await countStale(engine, work.cipher, table);
  let done = 0;
  for (let after = 0; ;) {
    const step = await retryConflicts(() => engine.transaction((tx) => rewriteStep(work, tx, table, after), PATIENT));
    if (step.last === null) return done;
    onProgress({ table, done: (done += step.written), total });
    after = step.last;
  }
}

async function rewriteStep(
  { cipher, unreadable }: Work,
  tx: Transaction,
  table: SealedTable,
  after: number,
): Promise<{ last: number | null; written: number }> {
  const rows = await readStale(tx, table, cipher, after);
  const written = rows.flatMap((row) => {
    try {
      return [resealRow(cipher, table, row)];
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      unreadable.push(error);
      return [];
    }
  });
  await updateRows(tx.kysely, table, written);
  return { last: rows.at(-1)?.seq ?? null, written: written.length };
}

function resealRow(cipher: Cipher, table: SealedTable, row: StaleRow): ResealedRow {
  const reseal = (name: SealedColumn): string | null => {
    const stored = row[name] ?? null;
    const column = name === 'text' ? logColumn(asLog(row)) : name;
    return stored === null ? null : cipher.seal(cipher.open(stored, row.task_id, column), row.task_id, column);
  };
  return { seq: row.seq, values: SEALED_COLUMNS[table].map(reseal) };
}

/** Only a line of a log has a text. */
function asLog(row: StaleRow): Row<'task_logs'> {
  return row as Row<'task_logs'>;
}

async function refuseLeftOver({ engine, cipher, unreadable }: Work): Promise<void> {
  let left = 0;
  for (const table of TABLES) left += await countStale(engine, cipher, table);
  if (left === 0) return;
  const [first] = unreadable;
  throw new Error(
    first
      ? `${left} row(s) were left as they are: ${first.message}`
      : `${left} row(s) were written under another key meanwhile: have all servers write under key ${cipher.currentId}, then do this again`,
  );
}

async function forgetOtherKeys({ engine, cipher }: Work): Promise<void> {
  await engine.transaction(({ kysely }) =>
    kysely
      .deleteFrom('encryption_keys')
      .where('key_id', '<>', cipher.currentId ?? '')
      .execute(),
  );
}

const MAX_TRIES = 10;

async function retryConflicts<T>(work: () => Promise<T>): Promise<T> {
  for (let left = MAX_TRIES; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (!isConflict(error) || left === 1) throw error;
    }
  }
}
