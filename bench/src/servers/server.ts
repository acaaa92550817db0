import type { ChildProcess } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { endTree, hasEnded, launch, treeOf } from '../processes.ts';

export interface StartOptions {
  /** Holds the store and the log of the server. */
  readonly dir: string;
  /** Commands to run it under: taskset, strace. */
  readonly prefix: readonly string[];
}

/** A private server on a loopback port of its own. */
export interface Server {
  /** What an adapter needs to reach it. */
  readonly access: Readonly<Record<string, unknown>>;
  pids(): number[];
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 30_000;

/** Launches a server process and waits until it is ready. */
export async function startProcess(options: {
  command: readonly string[];
  dir: string;
  env?: NodeJS.ProcessEnv;
  user?: { uid: number; gid: number };
  cwd?: string;
  isReady: () => Promise<boolean>;
  stopSignal?: NodeJS.Signals;
  access: Readonly<Record<string, unknown>>;
}): Promise<Server> {
  const { command, dir, env, user, cwd, isReady, stopSignal = 'SIGTERM', access } = options;
  const logFile = join(dir, 'server.log');
  const log = openSync(logFile, 'a');
  const child = launch(command, { stdio: ['ignore', log, log], ...user, ...(env && { env }), ...(cwd && { cwd }) });
  await untilReady(child, { isReady, describe: () => tailOf(logFile) });
  return { access, pids: () => treeOf(child.pid), stop: () => endTree(child, stopSignal) };
}

async function untilReady(
  child: ChildProcess,
  { isReady, describe }: { isReady: () => Promise<boolean>; describe: () => string },
): Promise<void> {
  const launchErrors: Error[] = [];
  child.once('error', (error) => launchErrors.push(error));
  for (const deadline = performance.now() + START_TIMEOUT_MS; performance.now() < deadline;) {
    if (await isReady()) return;
    for (const error of launchErrors) throw error;
    if (hasEnded(child)) throw new Error(`the server ended at its start; ${describe()}`);
    await sleep(5);
  }
  await endTree(child, 'SIGKILL');
  throw new Error(`the server was not ready after ${START_TIMEOUT_MS / 1000} s; ${describe()}`);
}

/** A port of the loopback interface that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  });
}

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').slice(-400).replaceAll(/\s+/g, ' ');
}
