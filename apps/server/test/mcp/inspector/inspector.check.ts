import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KEY, startApp } from '../../start-app.ts';
import { mcpCommand } from '../agents.ts';
import { INSPECTOR } from './install.ts';

const work_directory = '/srv/repo';
const NODE = join(import.meta.dirname, '../../../../../node_modules/node/bin/node');

type Target = readonly string[];

/** Asks one thing, as a person would on the command line. */
function inspect(target: Target, args: readonly string[]): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve) => {
    const all = [INSPECTOR, '--cli', ...target, ...args, '--format', 'json'];
    execFile(NODE, all, { cwd: tmpdir() }, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? 1), output: stdout || stderr }),
    );
  });
}

// Answers of every shape.
// oxlint-disable-next-line typescript/no-explicit-any
async function call(target: Target, name: string, args: object, exitCode = 0): Promise<any> {
  const json = JSON.stringify(args);
  const ended = await inspect(target, ['--method', 'tools/call', '--tool-name', name, '--tool-args-json', json]);
  expect(ended.exitCode, ended.output).toBe(exitCode);
  const { result, structuredContent } = JSON.parse(ended.output);
  return structuredContent ?? result?.structuredContent;
}

async function takeThroughLife(target: Target): Promise<void> {
  const listed = await inspect(target, ['--method', 'tools/list', '--strict']);
  expect(listed.exitCode, listed.output).toBe(0);
  const { tasks } = await call(target, 'create_tasks', { tasks: [{ work_directory, prompt: 'inspect me' }] });
  const { task, lease_token } = await call(target, 'acquire_task', { work_path: work_directory });
  expect(task).toMatchObject({ task_id: tasks[0].task_id, prompt: 'inspect me' });
  const lease = { task_id: task.task_id, lease_token };
  await call(target, 'heartbeat_task', { ...lease, progress: { percent: 50 } });
  await call(target, 'complete_task', { ...lease, output: 'inspected' });
  const { finished } = await call(target, 'wait_for_tasks', { task_ids: [task.task_id] });
  expect(finished).toMatchObject([{ status: 'completed', result: 'inspected' }]);
  await call(target, 'cancel_task', { task_id: task.task_id }, TOOL_ERROR);
  const read = await inspect(target, ['--method', 'resources/read', '--uri', `task://${task.task_id}/result`]);
  expect(read.output).toContain('inspected');
}

/** What the Inspector exits with when a tool refuses. */
const TOOL_ERROR = 5;

test.for(['legacy', 'modern'])('the Inspector takes a task through its life over HTTP: %s', async (era) => {
  const { url } = await startApp();
  const header = ['--header', `Authorization: Bearer ${KEY}`];
  await takeThroughLife([`${url}/mcp`, '--transport', 'http', '--protocol-era', era, ...header]);
});

test.for(['legacy', 'modern'])('the Inspector takes a task through its life over the bridge: %s', async (era) => {
  const { url } = await startApp();
  await takeThroughLife([...mcpCommand(['--url', url, '--api-key', KEY]), '--protocol-era', era]);
});

test.for(['legacy', 'modern'])(
  'the Inspector takes a task through its life in an embedded service: %s',
  async (era) => {
    const folder = await mkdtemp(join(tmpdir(), 'torc-inspector-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await takeThroughLife([...mcpCommand(['--database', `sqlite://${folder}/tasks.db`]), '--protocol-era', era]);
  },
);
