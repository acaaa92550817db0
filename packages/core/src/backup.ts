import type { BackupReport } from './db/sqlite/copy-verified.ts';
import type { RestoreReport } from './db/sqlite/restore.ts';

// The driver is loaded by those who use it: a server on PostgreSQL does not carry it.

/** See `db/sqlite/back-up.ts`. */
export async function backUpDatabase(options: { from: string; to: string }): Promise<BackupReport> {
  return (await import('./db/sqlite/back-up.ts')).backUpDatabase(options);
}

/** See `db/sqlite/restore.ts`. */
export async function restoreDatabase(options: {
  from: string;
  to: string;
  replace: boolean;
  now: Date;
}): Promise<RestoreReport> {
  return (await import('./db/sqlite/restore.ts')).restoreDatabase(options);
}
