import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Client, type ClientOptions } from '@task-orchestrator/client';
import { onTestFailed, onTestFinished } from 'vitest';
import { end, hasEnded, ROOT, startNode } from './processes.ts';

export const API_KEY = 'the-admin-key-of-the-process-tests';

const MAIN = 'apps/server/src/main.ts';
const START_WITHIN_MS = 20_000;

type Env = Readonly<Record<string, string>>;

/** What came of a server that was told to end, or that did not start. */
export interface Ending {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  seconds: number;
  output: string;
  errors: string;
}

/** A JSON answer over HTTP. */
export interface Answer<Data = unknown> {
  status: number;
  headers: Headers;
  body: { success: boolean; data: Data; error: { code: string; message: string } | null };
}

/** The server of this repository as its own process, on its own data; it can be killed and started again. */
export class ServerProcess {
  readonly folder: string;
  readonly env: Env;
  /** 0 until a first start on any free port has said which. */
  port: number;
  #child: ChildProcess | null = null;
  #output = '';

  private constructor(folder: string, port: number, env: Env) {
    this.folder = folder;
    this.port = port;
    this.env = env;
  }

  /** A server that listens; the end of the test ends it and removes its data. */
  static async start(env: Env = {}, { port = 0 }: { port?: number } = {}): Promise<ServerProcess> {
    const server = new ServerProcess(await aTemporaryFolder(), port, env);
    onTestFailed(() => console.error(`the server's last words: ${server.output}`));
    await server.start();
    return server;
  }

  /** The same on a port that stays free for it while it is down. */
  static async startOnKeptPort(env: Env = {}): Promise<ServerProcess> {
    return ServerProcess.start(env, { port: await findKeptPort() });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get databasePath(): string {
    return join(this.folder, 'data', 'tasks.db');
  }

  /** Of the running process. */
  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the server was never started');
    return this.#child.pid;
  }

  get output(): string {
    return this.#output;
  }

  client(options: Partial<ClientOptions> = {}): Client {
    return createClient({ url: this.url, apiKey: API_KEY, ...options });
  }

  /** Starts the process, on the port it had; it may not listen yet. */
  launch(): ChildProcess {
    const child = startServerProcess({
      APP_DATABASE_URL: `sqlite://${this.databasePath}`,
      APP_SERVER_PORT: String(this.port),
      ...this.env,
    });
    this.#output = '';
    const onText = (text: unknown) => (this.#output = (this.#output + String(text)).slice(-20_000));
    child.stdout?.on('data', onText);
    child.stderr?.on('data', onText);
    this.#child = child;
    return child;
  }

  /** Starts the process and waits until it has said where it listens. */
  async start(): Promise<void> {
    const child = this.launch();
    const deadline = performance.now() + START_WITHIN_MS;
    for (;;) {
      const port = /API +https?:\/\/\S+:(\d+)\/api\/v1/.exec(this.#output)?.[1];
      if (port !== undefined) {
        this.port = Number(port);
        return;
      }
      if (hasEnded(child)) throw new Error(`the server ended before it listened:\n${this.#output}`);
      if (performance.now() > deadline) throw new Error(`the server does not listen:\n${this.#output}`);
      await pause(5);
    }
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    if (this.#child) await end(this.#child, 'SIGKILL');
  }

  /** SIGTERM, and what came of it. */
  async stop(): Promise<Ending> {
    if (!this.#child) throw new Error('the server was never started');
    const ending = untilEnded(this.#child);
    this.#child.kill('SIGTERM');
    return ending;
  }

  /** As when what the server was piped into ends. */
  closeLog(): void {
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
  }

  /** A request as curl would send it: no retries. Rejects when no answer came. */
  async request<Data>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Answer<Data>> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${API_KEY}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    const { status, headers } = response;
    return { status, headers, body: (await response.json()) as Answer<Data>['body'] };
  }

  async text(path: string): Promise<string> {
    const response = await fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${API_KEY}` } });
    return response.text();
  }
}

/** Runs a server that is expected not to start, until it has ended. */
export function runServer(env: Env): Promise<Ending> {
  return untilEnded(startServerProcess(env));
}

/** Runs a command of the server to its end. */
export function runMain(args: readonly string[], env: Env): Promise<Ending> {
  return untilEnded(startServerProcess(env, args));
}

export async function aTemporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-e2e-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function startServerProcess(env: Env, args: readonly string[] = []): ChildProcess {
  return startNode(MAIN, args, {
    cwd: ROOT,
    env: {
      PATH: process.env['PATH'],
      APP_ENV: 'test',
      APP_SERVER_HOST: '127.0.0.1',
      APP_LOGGING_LEVEL: 'error',
      APP_SECURITY_ADMIN_KEY: API_KEY,
      APP_SECURITY_RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
      APP_TASK_MAX_CONCURRENT_TASKS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function untilEnded(child: ChildProcess): Promise<Ending> {
  const since = performance.now();
  let output = '';
  let errors = '';
  child.stdout?.on('data', (text) => (output += String(text)));
  child.stderr?.on('data', (text) => (errors += String(text)));
  // `close` comes when its output has been read, too.
  await once(child, 'close');
  const { exitCode, signalCode } = child;
  return { exitCode, signal: signalCode, seconds: (performance.now() - since) / 1000, output, errors };
}

/**
 * Below the range that systems take ports of outgoing connections from: else, while the server is down, a client
 * that tries to reach it may be given its port.
 */
async function findKeptPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
