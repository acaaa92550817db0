import { join } from 'node:path';
import { ROOT, startNode } from '../../support/processes.ts';
import { aTemporaryFolder } from '../../support/server-process.ts';
import { until } from '../../support/until.ts';

export interface FirstStart {
  /** Where the server was started; its data is in `data`. */
  readonly folder: string;
  readonly url: string;
  /** What it printed before its log. */
  readonly banner: string;
}

/** A server as a user starts it for the first time, with nothing configured but a free port. */
export async function startFirst(): Promise<FirstStart> {
  const folder = await aTemporaryFolder();
  const child = startNode('apps/server/src/main.ts', ['--config', join(ROOT, 'config')], {
    cwd: folder,
    env: { PATH: process.env['PATH'], APP_SERVER_PORT: '0', APP_LOGGING_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout?.on('data', (text) => (output += String(text)));
  child.stderr?.on('data', (text) => (output += String(text)));
  const url = await until('the server says where it listens', () => {
    if (child.exitCode !== null) throw new Error(`the server ended:\n${output}`);
    return /Metrics +(http\S+)\/metrics\n/.exec(output)?.[1] ?? '';
  });
  return { folder, url, banner: output };
}
