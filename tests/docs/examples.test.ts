import { text } from 'node:stream/consumers';
import { readdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { expect, test } from 'vitest';
import { ROOT, startNode } from '../support/processes.ts';
import { API_KEY, ServerProcess } from '../support/server-process.ts';

/** What each of them prints. */
const OUTPUTS = {
  'dag.ts': [
    'created publish: blocked',
    'created lint: blocked',
    'created test: blocked',
    'created install: waiting',
    'running install',
    'running lint',
    'running test',
    'running publish',
    '4 of 4 tasks completed',
  ],
  'exclusive-path.ts': [
    'start fix a (1 at work)',
    'start fix b (2 at work)',
    'start rename everywhere (1 at work)',
    expect.stringMatching(/^start document [ab] \(1 at work\)$/),
    expect.stringMatching(/^start document [ab] \(2 at work\)$/),
    'the exclusive task ran alone',
  ],
  'cancel.ts': [
    'cancel asked for; the task is still working',
    'the handler hears: the plan has changed',
    'the task is cancelled',
    // How quickly is for the tests of the client to say.
    expect.stringMatching(/^heard (within a second|after)/),
  ],
} as const;

test.each(Object.keys(OUTPUTS) as (keyof typeof OUTPUTS)[])('%s does what it says', async (name) => {
  const server = await ServerProcess.start();
  const { exitCode, output } = await finish(startExample(name, server));
  expect(output.trim().split('\n')).toEqual(OUTPUTS[name]);
  expect(exitCode).toBe(0);
});

/** By the tests of the client. */
const RUN_ELSEWHERE = ['submit.ts', 'worker.ts'];

test('every example is run by a test', () => {
  const files = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.ts'));
  expect(files.toSorted()).toEqual([...Object.keys(OUTPUTS), ...RUN_ELSEWHERE].toSorted());
});

function startExample(name: string, server: ServerProcess): ChildProcess {
  return startNode(`examples/${name}`, [], {
    env: { PATH: process.env['PATH'], TORC_URL: server.url, TORC_API_KEY: API_KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function finish(child: ChildProcess): Promise<{ exitCode: number | null; output: string }> {
  const closed = once(child, 'close');
  const output = await text(child.stdout!);
  await closed;
  return { exitCode: child.exitCode, output };
}
