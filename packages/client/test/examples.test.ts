import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { RealServer } from './real-server.ts';

const example = (name: string) => ['--conditions=to-source', join(import.meta.dirname, '../../../examples', name)];

test('the example worker does what the example producer submits, and ends on SIGTERM', async () => {
  const server = await RealServer.start();
  const env = { TORC_URL: server.url, TORC_API_KEY: server.apiKey };
  const worker = spawn(process.execPath, [...example('worker.ts'), '/srv/repo'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    const submitted = await promisify(execFile)(process.execPath, [...example('submit.ts'), 'sing', '/srv/repo'], {
      env,
    });
    expect(submitted.stdout).toContain('completed: "done: sing"');
    worker.kill('SIGTERM');
    await expect(once(worker, 'exit')).resolves.toEqual([0, null]);
  } finally {
    worker.kill('SIGKILL');
    await server.close();
  }
}, 30_000);
