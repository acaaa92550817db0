import type { Config } from './config/config.ts';
import { maskUrlPassword, parseDatabaseUrl } from './config/database-url.ts';

/** The file of `database.url`. Throws one line when it names none. */
export function findDatabaseFile({ database }: Config): string {
  const target = parseDatabaseUrl(database.url);
  if (target.engine === 'sqlite' && target.path !== ':memory:') return target.path;
  const claim = target.engine === 'sqlite' ? 'lives in memory' : 'is PostgreSQL, which has tools of its own';
  throw new Error(
    `database.url ${maskUrlPassword(database.url)} ${claim}: only SQLite files are backed up and restored`,
  );
}
