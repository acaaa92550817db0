import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client, type ClientOptions } from '../src/index.ts';

const MAIN = join(import.meta.dirname, '../../../apps/server/src/main.ts');
const API_KEY = 'test-key-of-the-client-tests';

/** The server of this repository in a process of its own, on a database of its own. */
export class RealServer {
  readonly port: number;
  readonly apiKey = API_KEY;
  readonly #directory: string;
  readonly #env: Record<string, string>;
  #process: ChildProcess | null = null;

  private constructor(port: number, directory: string, env: Record<string, string>) {
    this.port = port;
    this.#directory = directory;
    this.#env = env;
  }

  static async start(env: Record<string, string> = {}): Promise<RealServer> {
    const directory = await mkdtemp(join(tmpdir(), 'torc-client-'));
    const server = new RealServer(await findFreePort(), directory, env);
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  client(options: Partial<ClientOptions> = {}): Client {
    return createClient({ url: this.url, apiKey: API_KEY, ...options });
  }

  async start(): Promise<void> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      APP_ENV: 'test',
      APP_SERVER_HOST: '127.0.0.1',
      APP_SERVER_PORT: String(this.port),
      APP_DATABASE_URL: `sqlite://${join(this.#directory, 'tasks.db')}`,
      APP_SECURITY_ADMIN_KEY: API_KEY,
      APP_SECURITY_RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
      APP_TASK_MAX_CONCURRENT_TASKS: '0',
      ...this.#env,
    };
    const child = spawn(process.execPath, ['--conditions=to-source', MAIN], {
      cwd: this.#directory,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    this.#process = child;
    await Promise.race([
      this.#untilReady(child),
      once(child, 'exit').then(() => {
        throw new Error(`The server ended before it was ready:\n${output}`);
      }),
    ]);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  }

  async close(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #untilReady(child: ChildProcess): Promise<void> {
    while (child.exitCode === null) {
      const isReady = await fetch(`${this.url}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (isReady) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
