import SqliteDatabase from 'better-sqlite3';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { copyVerified, type BackupReport } from './copy-verified.ts';
import { holdFile, naming } from './sqlite-engine.ts';

/**
 * A consistent copy of a SQLite database in one file, also while a server works on it: everything that was acknowledged
 * before the call is in it.
 * @throws one line, when there is no database, the target exists, or the copy does not pass the check.
 */
export async function backUpDatabase({ from, to }: { from: string; to: string }): Promise<BackupReport> {
  if (!existsSync(from)) throw new Error(`there is no database ${from}`);
  if (existsSync(to)) throw new Error(`${to} exists: a backup overwrites nothing, choose another name`);
  if (!existsSync(dirname(to))) throw new Error(`there is no folder ${dirname(to)} to put ${to} into`);
  const lock = hasWriteAheadLog(from) ? null : holdIdle(from);
  try {
    return await copyVerified({ from, to });
  } finally {
    lock?.close();
  }
}

function hasWriteAheadLog(path: string): boolean {
  return naming(path, () => {
    const database = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
    try {
      return database.pragma('journal_mode', { simple: true }) === 'wal';
    } finally {
      database.close();
    }
  });
}

/** Without the log, a reader stops the writer for as long as it reads. */
function holdIdle(path: string): { close(): void } {
  try {
    return holdFile(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${reason}, and without database.enable_wal_mode a backup would hold it up: end it first`, {
      cause,
    });
  }
}
