import { expect, test } from 'vitest';
import { startApp } from '../start-app.ts';
import { connectAgent, HTTP_KINDS, type Agent } from './agents.ts';

const work_directory = '/srv/repo';
const MAX_CHARS = 20_000;

async function createOne(agent: Agent, fields: object = {}): Promise<string> {
  const { value } = await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it', ...fields }] });
  return value.tasks[0].task_id;
}

async function acquireOne(agent: Agent) {
  const { value, text } = await agent.call('acquire_task', { work_path: work_directory });
  return { value, text, lease: { task_id: value.task.task_id as string, lease_token: value.lease_token as string } };
}

/** Text that JSON makes six times as long, in characters of several units. */
const nasty = (length: number) =>
  '\u0001🙂"é\n'
    .repeat(Math.ceil(length / 6))
    .slice(0, length)
    .toWellFormed();

test('no answer is longer than 20,000 characters, however large what it tells of', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('v1 SDK', { url });
  const work_directory = `/${'d'.repeat(4090)}`;
  const large = {
    work_directory,
    prompt: nasty(60_000),
    tags: Array.from({ length: 32 }, (_, index) => `${index}${nasty(60)}`),
    metadata: { large: nasty(50_000) },
  };
  const sizes: Record<string, number> = {};
  const measure = async (name: string, args: object) => {
    const answer = await agent.call(name, args);
    expect(answer.isError, answer.text).toBe(false);
    sizes[name] = Math.max(sizes[name] ?? 0, answer.text.length);
    return answer.value;
  };
  const ids: string[] = [];
  for (let index = 0; index < 50; index++)
    ids.push((await measure('create_tasks', { tasks: [large] })).tasks[0].task_id);
  await measure('create_tasks', {
    tasks: Array.from({ length: 100 }, (_, index) => ({
      work_directory: '/r',
      prompt: 'x',
      ref: `${'r'.repeat(60)}${index}`,
    })),
  });
  await measure('list_tasks', { limit: 50, work_directory });
  for (const task_id of ids) {
    const { lease_token } = await measure('acquire_task', { work_path: work_directory, worker_id: 'w'.repeat(200) });
    await core.appendLog({ task_id, lease_token, entries: [{ stream: 'stdout', text: nasty(60_000) }] });
    await measure('complete_task', { task_id, lease_token, output: { long: nasty(30_000) } });
  }
  await measure('wait_for_tasks', { task_ids: ids });
  await measure('wait_for_tasks', { task_ids: ids.slice(0, 1) });
  const include = ['prompt', 'result', 'error', 'metadata', 'logs', 'history'];
  await measure('get_task', { task_id: ids[0], include });
  for (const part of include) await measure('get_task', { task_id: ids[0], include: [part] });
  for (const [name, size] of Object.entries(sizes)) expect(size, name).toBeLessThanOrEqual(MAX_CHARS);
  // What is large is shown as far as there is room.
  for (const name of ['acquire_task', 'get_task', 'wait_for_tasks']) expect(sizes[name], name).toBeGreaterThan(12_000);
});

test('a prompt that was cut says so, and can be read to its end', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const prompt = `${nasty(30_000)}THE END`;
  await createOne(agent, { prompt });
  const { value, lease } = await acquireOne(agent);
  let read = '';
  for (let part: string = value.task.prompt, offset = 0; ;) {
    const [marker, to] = /\n\[CUT: characters \d+-(\d+) of \d+; for the rest call get_task .*\]$/.exec(part) ?? [];
    read += marker === undefined ? part : part.slice(0, -marker.length);
    if (to === undefined) break;
    expect(Number(to)).toBeGreaterThan(offset);
    offset = Number(to);
    const args = JSON.parse(/get_task (\{.*\})\]$/.exec(part)![1]!);
    expect(args).toEqual({ task_id: lease.task_id, include: ['prompt'], offset });
    part = (await agent.call('get_task', args)).value.task.prompt;
  }
  expect(read).toBe(prompt);
});

test.for(HTTP_KINDS)('%s reads a task, its result, its log and its path as resources', async (kind) => {
  const { url, core } = await startApp();
  const agent = await connectAgent(kind, { url });
  const task_id = await createOne(agent, { prompt: 'read me' });
  const { lease } = await acquireOne(agent);
  await core.appendLog({
    ...lease,
    entries: [
      { stream: 'stdout', text: 'line one' },
      { stream: 'stderr', text: 'line two' },
    ],
  });
  await agent.call('complete_task', { ...lease, output: 'fine' });
  expect(JSON.parse(await agent.read(`task://${task_id}`))).toMatchObject({
    task_id,
    prompt: 'read me',
    status: 'completed',
  });
  expect(JSON.parse(await agent.read(`task://${task_id}/result`))).toMatchObject({ result: { output: 'fine' } });
  expect(await agent.read(`task://${task_id}/logs`)).toBe('line one\nline two\n');
  const path = JSON.parse(await agent.read('path:///srv/repo'));
  expect(path).toMatchObject({
    path: '/srv/repo',
    tasks: { completed: 1, waiting: 0 },
    latest: [{ task_id, title: 'read me' }],
  });
  expect(JSON.parse(await agent.read('path:///C:/my%20repo'))).toMatchObject({ path: 'C:/my repo', latest: [] });
  for (const uri of ['task://01920000-0000-7000-8000-000000000000', 'task://nonsense', 'other://x']) {
    await expect(agent.read(uri)).rejects.toThrow(/not found/i);
  }
});

test.for(HTTP_KINDS)('%s gets the prompts, with what they were given in them', async (kind) => {
  const { url } = await startApp();
  const agent = await connectAgent(kind, { url });
  expect(await agent.prompt('worker_loop', { work_path: '/srv/repo' })).toMatch(/acquire_task.*\/srv\/repo/);
  expect(await agent.prompt('plan_and_queue', { goal: 'ship it', work_directory })).toMatch(/ship it.*create_tasks/);
  expect(await agent.prompt('triage_failed', { work_directory })).toMatch(/list_tasks.*failed/);
});
