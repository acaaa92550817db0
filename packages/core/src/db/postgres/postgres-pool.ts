import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { isOutage } from '../outage.ts';

/** How every server names the sessions that write: what else goes on in the cluster is told apart by it. */
export const APPLICATION_NAME = 'task-orchestrator';

/** A peer that is gone without a word is found out after this and ten seconds more. */
const KEEP_ALIVE_MS = 10_000;
const IDLE_IN_TRANSACTION_MS = 60_000;
/** Of every session that serves requests. */
export const SETTINGS: readonly string[] = [
  `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_MS}`,
  // Statements are parsed once and planned for the tables as they are: a plan for an empty table lives too long.
  'plan_cache_mode=force_custom_plan',
  // "Is there one at all?" looks cheap by a scan of the table, and is not when there is none. Everything has an index.
  'enable_seqscan=off',
];
const RETRY_MS = 250;

/** @param session.settings `name=value` */
export function clientConfig(url: string, session: { name: string; settings: readonly string[] }): pg.ClientConfig {
  return {
    connectionString: withOurOptions(url, session),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: { getTypeParser },
  };
}

export function openPool(options: {
  url: string;
  durability: 'full' | 'normal';
  maxConnections: number;
  minConnections: number;
  connectionTimeoutSeconds: number;
  idleTimeoutSeconds: number;
  onError: (error: unknown, doing: string) => void;
}): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(options.url, {
      name: APPLICATION_NAME,
      settings: [`synchronous_commit=${options.durability === 'full' ? 'on' : 'off'}`, ...SETTINGS],
    }),
    max: options.maxConnections,
    min: Math.min(options.minConnections, options.maxConnections),
    connectionTimeoutMillis: options.connectionTimeoutSeconds * 1000,
    idleTimeoutMillis: options.idleTimeoutSeconds * 1000,
    pipeline: true,
  });
  // A connection that breaks while idle is replaced by the next request.
  pool.on('error', (error) => options.onError(error, 'idle database connection'));
  // One that breaks in use fails its statements; without a listener the event would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** @throws one line, when the database is not there in time or does not let us in. */
export async function waitUntilReachable(pool: pg.Pool, url: string, timeoutSeconds: number): Promise<void> {
  const until = performance.now() + timeoutSeconds * 1000;
  for (;;) {
    try {
      await pool.query('SELECT 1');
      return;
    } catch (error) {
      if (isOutage(error) && performance.now() < until) await pause(RETRY_MS);
      else throw explain(error, url, timeoutSeconds);
    }
  }
}

function explain(error: unknown, url: string, timeoutSeconds: number): Error {
  const { host, pathname } = new URL(url);
  const place = `PostgreSQL at ${host}${pathname}`;
  const fault = describe(error);
  if (isOutage(error))
    return new Error(`${place} cannot be reached within ${timeoutSeconds} s: ${fault}`, { cause: error });
  return new Error(`${place} cannot be used: ${fault}`, { cause: error });
}

/** A name with several addresses fails with an error for each, and no message of its own. */
function describe(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/**
 * What the URL says stays, but for the name of the session; `sslmode` means what it means to libpq:
 * https://www.postgresql.org/docs/current/libpq-ssl.html
 */
function withOurOptions(url: string, { name, settings }: { name: string; settings: readonly string[] }): string {
  const own = new URL(url);
  const { searchParams } = own;
  searchParams.set('application_name', name);
  const given = searchParams.get('options');
  const options = [given ?? '', ...settings.map((setting) => `-c ${setting}`)].join(' ').trim();
  if (options !== '') searchParams.set('options', options);
  if (searchParams.has('sslmode') && searchParams.get('sslmode') !== 'no-verify') {
    searchParams.set('uselibpqcompat', 'true');
  }
  // In a query a plus is a blank to some parsers and a plus to others.
  own.search = searchParams.toString().replaceAll('+', '%20');
  return own.href;
}

/** BIGINT as a number: keys, counts and milliseconds stay below 2^53. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format as 'text');
}
