import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { readNewestVersion } from '../migrate.ts';
import { copyVerified, listFiles, type BackupReport } from './copy-verified.ts';
import { holdFile, naming } from './sqlite-engine.ts';

export interface RestoreReport extends BackupReport {
  /** Where the database that was there is now; null: there was none. */
  readonly movedTo: string | null;
}

/**
 * Puts a backup where a server will look for its database. No server may run on it.
 * @param options.replace moves a database that is there aside; without it, one that is there is left alone
 * @throws one line, when the target is in use or in the way, or the backup does not pass the check.
 */
export async function restoreDatabase(options: {
  from: string;
  to: string;
  replace: boolean;
  now: Date;
}): Promise<RestoreReport> {
  const { from, to, replace, now } = options;
  if (!existsSync(from)) throw new Error(`there is no backup ${from}`);
  await refuseNewer(from);
  mkdirSync(dirname(to), { recursive: true });
  const lock = holdFile(to);
  try {
    const isThere = listFiles(to).length > 0;
    if (isThere && !replace) throw new Error(`${to} exists: --replace moves it aside and puts the backup in its place`);
    const movedTo = isThere ? `${to}.replaced-${now.toISOString().replaceAll(/[-:]|\.\d+/g, '')}` : null;
    const report = await copyVerified({ from, to, beforeRename: () => movedTo !== null && moveAside(to, movedTo) });
    return { ...report, movedTo };
  } finally {
    lock.close();
  }
}

async function refuseNewer(path: string): Promise<void> {
  const newest = await readNewestVersion();
  const version = naming(path, () => {
    const backup = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
    try {
      return backup.prepare('SELECT max(version) FROM schema_migrations').pluck().get() as number;
    } finally {
      backup.close();
    }
  });
  if (version > newest) {
    throw new Error(`${path} is at schema version ${version}, newer than this server's ${newest}: use a newer server`);
  }
}

/** With its write-ahead log, which holds a part of it, and must not meet the new one. */
function moveAside(path: string, target: string): void {
  for (const file of listFiles(path)) renameSync(file, target + file.slice(path.length));
}
