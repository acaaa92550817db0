import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { places } from '../places.ts';
import { freePort, startProcess, type Server, type StartOptions } from './server.ts';

export interface OurServer extends Server {
  readonly access: { readonly url: string; readonly apiKey: string };
  /** From the launch to the first 200 of `/health/ready`. */
  readonly readyAfterMs: number;
}

export interface OurStartOptions extends StartOptions {
  readonly fromSource: boolean;
  readonly nodeFlags?: readonly string[];
}

/** As `npm start` runs it, but for what the issue sets: no limit of concurrent tasks, no rate limit. */
export async function startOurs({ dir, prefix, fromSource, nodeFlags = [] }: OurStartOptions): Promise<OurServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const apiKey = randomBytes(24).toString('base64url');
  const main = fromSource ? ['--conditions=to-source', places.sourceServer] : [places.builtServer];
  const launchedAt = performance.now();
  let readyAt = 0;
  const server = await startProcess({
    command: [...prefix, process.execPath, ...nodeFlags, ...places.serverFlags, ...main],
    dir,
    cwd: places.root,
    env: {
      ...places.serverEnv,
      ...environmentWithoutSettings(),
      APP_ENV: 'production',
      APP_SERVER_HOST: '127.0.0.1',
      APP_SERVER_PORT: String(port),
      APP_DATABASE_URL: databaseUrl(dir),
      APP_DATABASE_DURABILITY: 'full',
      APP_SECURITY_ADMIN_KEY: apiKey,
      APP_SECURITY_RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
      APP_TASK_MAX_CONCURRENT_TASKS: '0',
    },
    async isReady() {
      const isReady = await fetch(`${url}/health/ready`).then(
        ({ status }) => status === 200,
        () => false,
      );
      readyAt = performance.now();
      return isReady;
    },
    access: {},
  });
  return { ...server, access: { url, apiKey }, readyAfterMs: readyAt - launchedAt };
}

export function databaseFile(dir: string): string {
  return join(dir, 'tasks.db');
}

function databaseUrl(dir: string): string {
  return `sqlite://${databaseFile(dir)}`;
}

function environmentWithoutSettings(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('APP_')));
}
