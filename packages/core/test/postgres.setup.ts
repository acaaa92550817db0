import type { TestProject } from 'vitest/node';
import { startPostgres, withClient } from './postgres-server.ts';
import { wantedEngines } from './wanted-engines.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `postgres://…` without a database; the server of `TEST_DATABASE_URL`, or one started for this run. */
    postgresUrl: string;
  }
}

/** One real PostgreSQL for the whole run; each test has its own database in it. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['TEST_DATABASE_URL'];
  const server = given === undefined ? await startPostgres() : null;
  const url = server?.url ?? given!;
  project.provide('postgresUrl', url);
  console.log(`Engines under test: ${wantedEngines().join(', ')}; PostgreSQL ${await readVersion(url)}`);
  return async () => server?.stop();
}

async function readVersion(url: string): Promise<string> {
  const { rows } = await withClient(url, (client) => client.query<{ server_version: string }>('SHOW server_version'));
  return rows[0]!.server_version;
}
