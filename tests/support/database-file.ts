import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** What SQLite finds wrong with a file that nobody has open: `ok`, or one line a fault. */
export function checkIntegrity(path: string): string[] {
  const database = new DatabaseSync(path);
  try {
    return database
      .prepare('PRAGMA integrity_check')
      .all()
      .map((row) => String(row['integrity_check']));
  } finally {
    database.close();
  }
}

/** Copies what a killed server left on disk, as it is: the file and its write-ahead log. */
export async function copyDatabase(path: string, folder: string): Promise<string> {
  const copy = join(folder, 'copy.db');
  await copyFile(path, copy);
  await copyFile(`${path}-wal`, `${copy}-wal`);
  return copy;
}
