import type { Engine, OnStatement } from './engine.ts';
import type { PostgresOptions } from './postgres/postgres-engine.ts';
import type { SqliteOptions } from './sqlite/sqlite-engine.ts';

export type DatabaseOptions =
  | ({ engine: 'sqlite' } & Omit<SqliteOptions, 'clock' | 'onStatement'>)
  | ({ engine: 'postgres' } & Omit<PostgresOptions, 'onError' | 'clock' | 'onStatement'>);

/**
 * An engine and its driver are loaded when they are needed: who runs on the one does not carry the other.
 * @param options.clock in place of that of the engine, for tests: milliseconds since the epoch
 * @param options.onError told of what goes wrong beside any request
 * @param options.onStatement told of each statement of a request, a commit or background work
 */
export async function openEngine(options: {
  database: DatabaseOptions;
  clock?: (() => number) | undefined;
  onError?: (error: unknown, doing: string) => void;
  onStatement?: OnStatement | undefined;
}): Promise<Engine> {
  const { database, clock, onError = () => undefined, onStatement } = options;
  switch (database.engine) {
    case 'sqlite': {
      const { openSqliteEngine } = await import('./sqlite/sqlite-engine.ts');
      return openSqliteEngine({ ...database, clock: clock ?? Date.now, onStatement });
    }
    case 'postgres': {
      const { openPostgresEngine } = await import('./postgres/postgres-engine.ts');
      return openPostgresEngine({ ...database, clock, onError, onStatement });
    }
  }
}
