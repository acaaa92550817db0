import { createInterface } from 'node:readline';
import { endTree, launch, treeOf } from '../processes.ts';
import type { LoadResult } from './main.ts';

export interface Load {
  /** The next line that the process prints with @@ in front; rejects when it ends without one. */
  next(): Promise<LoadResult>;
  readonly ended: Promise<void>;
  pids(): number[];
  stop(): Promise<void>;
}

/** Starts a process that prints results. It is ended after `limitMs`, whatever it does. */
export function startLoad({
  command,
  limitMs,
  cwd,
  env,
}: {
  command: readonly string[];
  limitMs: number;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}): Load {
  const child = launch(command, { stdio: ['ignore', 'pipe', 'pipe'], ...(cwd && { cwd }), ...(env && { env }) });
  const limit = setTimeout(() => void endTree(child, 'SIGKILL'), limitMs);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-2000);
  });
  const results: LoadResult[] = [];
  let onChange = () => {};
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      errors += error.message;
      resolve();
    });
    child.once('close', () => resolve());
  }).then(() => {
    clearTimeout(limit);
    hasEnded = true;
    onChange();
  });
  if (child.stdout) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (!line.startsWith('@@')) return;
      // Printed by one of our own scripts.
      results.push(JSON.parse(line.slice(2)) as LoadResult);
      onChange();
    });
  }
  return {
    ended,
    pids: () => treeOf(child.pid),
    stop: () => endTree(child, 'SIGTERM'),
    async next() {
      for (;;) {
        const result = results.shift();
        if (result) return result;
        if (hasEnded)
          throw new Error(`the load process ended without a result (limit ${limitMs / 1000} s): ${errors.slice(-800)}`);
        await new Promise<void>((resolve) => (onChange = resolve));
      }
    },
  };
}
