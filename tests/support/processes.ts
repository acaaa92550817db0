import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';

export const ROOT = join(import.meta.dirname, '../..');

/** The Node that runs the tests: the project's own, or another one that is to be tried. */
const NODE = process.execPath;

/** What still runs, and how to end it for sure. */
const started = new Map<ChildProcess, () => void>();

/** Runs a source file as a process of its own, which the end of the test ends. */
export function startNode(file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(NODE, ['--conditions=to-source', join(ROOT, file), ...args], options);
  return track(child, () => child.kill('SIGKILL'));
}

/** Runs a command that starts others; all of them are ended. */
export function startCommand(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, args, { ...options, detached: true });
  return track(child, () => {
    if (child.pid !== undefined && isAlive(-child.pid)) process.kill(-child.pid, 'SIGKILL');
  });
}

function track(child: ChildProcess, kill: () => void): ChildProcess {
  started.set(child, kill);
  child.once('exit', () => {
    kill();
    started.delete(child);
  });
  return child;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Sends the signal and waits for the end. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

afterEach(async () => {
  const left = [...started];
  await Promise.all(
    left.map(async ([child, kill]) => {
      const exited = once(child, 'exit');
      kill();
      await exited;
    }),
  );
  expect(left.filter(([{ pid }]) => pid !== undefined && isAlive(pid))).toEqual([]);
  expect(started.size).toBe(0);
});

// When the test runner itself is told to end in the middle of a test.
process.once('exit', () => {
  for (const kill of started.values()) kill();
});

/** @param pid minus the id of a group asks for its members. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
