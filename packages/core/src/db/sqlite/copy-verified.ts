import SqliteDatabase from 'better-sqlite3';
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { naming } from './sqlite-engine.ts';

/** What a copy of a database holds. */
export interface BackupReport {
  readonly tasks: number;
  readonly events: number;
  readonly bytes: number;
}

/** What SQLite may keep beside a database. */
export const COMPANIONS = ['-wal', '-shm', '-journal'] as const;

/**
 * Copies a SQLite database, page by page and in one read transaction: what was committed when it began, whoever writes
 * meanwhile. The copy appears under its name when it has been checked and is on disk, or not at all.
 * @param options.beforeRename the last moment to make way for it
 */
export async function copyVerified(options: {
  from: string;
  to: string;
  beforeRename?: () => void;
}): Promise<BackupReport> {
  const { from, to, beforeRename = () => undefined } = options;
  const partial = `${to}.${randomBytes(4).toString('hex')}.partial`;
  try {
    const counts = await copySnapshot(from, partial);
    verify(partial, { from, counts });
    // It holds prompts, results and the hashes of keys.
    chmodSync(partial, 0o600);
    flush(partial);
    const { size } = statSync(partial);
    beforeRename();
    renameSync(partial, to);
    flush(dirname(to));
    return { ...counts, bytes: size };
  } finally {
    for (const suffix of ['', ...COMPANIONS]) rmSync(partial + suffix, { force: true });
  }
}

type Counts = Pick<BackupReport, 'tasks' | 'events'>;

const PAGES_PER_STEP = 1000;

/** SQLite would begin anew whenever somebody writes between two steps; under a read transaction it has no reason to. */
async function copySnapshot(from: string, to: string): Promise<Counts> {
  const source = naming(from, () => new SqliteDatabase(from, { readonly: true, fileMustExist: true }));
  try {
    const counts = naming(from, () => {
      source.exec('BEGIN');
      return count(source);
    });
    await source.backup(to, { progress: () => PAGES_PER_STEP }).catch((error: Error) =>
      naming(to, () => {
        throw error;
      }),
    );
    return counts;
  } finally {
    source.close();
  }
}

function verify(path: string, expected: { from: string; counts: Counts }): void {
  const copy = new SqliteDatabase(path);
  try {
    // In one file from the start, also where the original has a write-ahead log beside it.
    copy.pragma('journal_mode = DELETE');
    const [problem] = copy.pragma('integrity_check(1)') as { integrity_check: string }[];
    if (problem?.integrity_check !== 'ok')
      throw new Error(`${expected.from} is damaged: ${problem?.integrity_check.replaceAll(/\s+/g, ' ')}`);
    const { tasks, events } = count(copy);
    if (tasks !== expected.counts.tasks || events !== expected.counts.events) {
      throw new Error(`the copy of ${expected.from} is not complete: ${tasks} tasks of ${expected.counts.tasks}`);
    }
  } finally {
    copy.close();
  }
}

function count(database: SqliteDatabase.Database): Counts {
  const sql = 'SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM events) AS events';
  return database.prepare(sql).get() as Counts;
}

/** A file, or the names in a folder. */
function flush(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Those of a database and its companions that are there. */
export function listFiles(path: string): string[] {
  return ['', ...COMPANIONS].map((suffix) => path + suffix).filter((file) => existsSync(file));
}
