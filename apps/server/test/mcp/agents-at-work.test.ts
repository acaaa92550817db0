import { expect, test } from 'vitest';
import { startApp } from '../start-app.ts';
import { connectAgent, HTTP_KINDS, mcpCommand, STDIO_KINDS, type Agent, type Place } from './agents.ts';
import { workTheQueue } from './queue-worker.ts';

const work_directory = '/srv/queue';
const TASKS = 50;

async function fillQueue(agent: Agent, count = TASKS): Promise<string[]> {
  const tasks = Array.from({ length: count }, (_, index) => ({ work_directory, prompt: `task ${index}` }));
  const { value } = await agent.call('create_tasks', { tasks });
  return value.tasks.map(({ task_id }: { task_id: string }) => task_id);
}

/** An agent that knows the instructions and the names of the tools alone does all there is to do. */
async function expectWorkedOff(agent: Agent): Promise<void> {
  const ids = await fillQueue(agent);
  expect((await workTheQueue(agent, work_directory)).sort()).toEqual([...ids].sort());
  const { value } = await agent.call('wait_for_tasks', { task_ids: ids, until: 'all' });
  expect(value).toMatchObject({ done: true, pending: [] });
  const results = value.finished.map(({ result }: { result: string }) => result);
  expect(results).toEqual(ids.map((_, index) => `did: task ${index}`));
}

test.for(HTTP_KINDS)('%s works a queue of 50 tasks to its end over HTTP', { timeout: 30_000 }, async (kind) => {
  const { url } = await startApp();
  await expectWorkedOff(await connectAgent(kind, { url }));
});

test.for(STDIO_KINDS)(
  '%s works a queue of 50 tasks to its end over stdio, on a running server',
  { timeout: 30_000 },
  async (kind) => {
    const { url } = await startApp();
    await expectWorkedOff(await connectAgent(kind, bridgeTo(url)));
  },
);

test.for(STDIO_KINDS)(
  '%s works a queue of 50 tasks to its end over stdio, with no server at all',
  { timeout: 30_000 },
  async (kind) => {
    await expectWorkedOff(await connectAgent(kind, { command: mcpCommand(['--database', 'sqlite::memory:']) }));
  },
);

test(
  'agents of every era and transport race for tasks, and each task is acquired once',
  { timeout: 60_000 },
  async () => {
    const { url, core } = await startApp();
    const places: [kind: (typeof HTTP_KINDS)[number], place: Place][] = [
      ...HTTP_KINDS.flatMap((kind) => [[kind, { url }] as const, [kind, { url }] as const]).map(
        ([kind, place]) => [kind, place] as [typeof kind, Place],
      ),
      ['v2 legacy', bridgeTo(url)],
      ['v2 auto', bridgeTo(url)],
    ];
    const agents = await Promise.all(places.map(([kind, place]) => connectAgent(kind, place)));
    const ids = [...(await fillQueue(agents[0]!, 100)), ...(await fillQueue(agents[1]!, 100))];
    const shares = await Promise.all(
      agents.map((agent, index) => workTheQueue(agent, work_directory, { worker_id: `agent ${index}` })),
    );
    expect(shares.flat().sort()).toEqual(ids.sort());
    for (const task_id of ids) {
      const { events } = await core.listEvents({ task_id, limit: 100 });
      expect(events.map(({ type }) => type)).toEqual(['created', 'acquired', 'completed']);
    }
  },
);

function bridgeTo(url: string): Place {
  return { command: mcpCommand(['--url', url]), env: { TORC_API_KEY: 'test-key-of-16-characters-or-more' } };
}
