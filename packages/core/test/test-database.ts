import { inject, onTestFinished } from 'vitest';
import { withClient } from './postgres-server.ts';

/** Databases of this test file that are empty again: to empty one takes a hundredth of the time to make one. */
const free: string[] = [];
let created = 0;

/** The URL of an empty database for this test; it may have the newest schema already. */
export async function takeTestDatabase(): Promise<string> {
  const url = free.pop() ?? (await createDatabase('template0'));
  giveBackAtTheEnd(url);
  return url;
}

/** The URL of a database that has no schema yet. */
export async function takeNewTestDatabase(): Promise<string> {
  const url = await createDatabase('template0');
  giveBackAtTheEnd(url);
  return url;
}

/** A database with what the sudden death of all its servers would have left in another. */
export async function copyTestDatabase(url: string): Promise<string> {
  const name = new URL(url).pathname.slice(1);
  // A template must have no connections: to end them is what the death of the servers does.
  await withClient(inject('postgresUrl'), (client) =>
    client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]),
  );
  const copy = await createDatabase(name);
  giveBackAtTheEnd(copy);
  return copy;
}

async function createDatabase(template: string): Promise<string> {
  const server = inject('postgresUrl');
  const name = `core_${process.pid}_${Date.now()}_${++created}`;
  await withClient(server, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return `${server}/${name}`;
}

function giveBackAtTheEnd(url: string): void {
  onTestFinished(async () => {
    await withClient(url, (client) => client.query(EMPTY_EVERYTHING));
    free.push(url);
  });
}

const EMPTY_EVERYTHING = `
  DO $$
  DECLARE name TEXT;
  BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations' LOOP
      EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
      EXECUTE 'ALTER SEQUENCE ' || name || ' RESTART';
    END LOOP;
  END $$`;
