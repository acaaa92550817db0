import { Role, type Operations } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { TOOLS } from '../src/transports/mcp/tools/all.ts';
import { catchRefusal, OPERATIONS, restCall, trpcCall, type Fields } from './doors.ts';
import { askRaw } from './mcp/agents.ts';
import { KEY, startApp } from './start-app.ts';

const NOBODY = '01920000-0000-7000-8000-000000000000';
const IN = '/srv/in';
const OUT = '/srv/out';
const NOWHERE = '/srv/nowhere';

/** Where an operation is asked: of a directory, and of tasks there; at `NOWHERE` there are none. */
class Place {
  readonly directory: string;
  readonly #core: Core;

  constructor(core: Core, directory: string) {
    this.#core = core;
    this.directory = directory;
  }

  async task(): Promise<{ task_id: string }> {
    if (this.directory === NOWHERE) return { task_id: NOBODY };
    const task = {
      work_directory: this.directory,
      prompt: 'do it',
      priority: 'medium',
      tags: [],
      metadata: {},
    } as const;
    const more = { exclusive: false, on_dependency_failure: 'cancel', idempotency_window: 24, depends_on: [] } as const;
    const { task_id } = await this.#core.createTask({ ...task, ...more, tags: [], depends_on: [] });
    return { task_id };
  }

  async held(): Promise<{ task_id: string; lease_token: string }> {
    if (this.directory === NOWHERE) return { task_id: NOBODY, lease_token: 'x' };
    await this.task();
    const wanted = { work_path: this.directory, worker_id: `worker of ${this.directory}`, limit: 1, wait_seconds: 0 };
    const { tasks } = await this.#core.acquireTasks({ ...wanted, subtree: false });
    return { task_id: tasks[0]!.task_id, lease_token: tasks[0]!.lease_token };
  }

  async failed(): Promise<{ task_id: string }> {
    const lease = await this.held();
    if (lease.task_id === NOBODY) return { task_id: NOBODY };
    await this.#core.failTask({ ...lease, error: { code: 'NO', message: 'no' }, retryable: false });
    return { task_id: lease.task_id };
  }
}

interface Case {
  /**
   * How it answers outside the prefixes of the key: `refused` names the directory that the caller has named, `hidden` is
   * as if there were nothing, `narrowed` is about what is within, and `everywhere` is for keys without prefixes, or for nobody's.
   */
  readonly outside: 'refused' | 'hidden' | 'narrowed' | 'everywhere';
  readonly input: (place: Place) => Fields | Promise<Fields>;
}

type Name = { [Group in keyof Operations]: `${Group}.${keyof Operations[Group] & string}` }[keyof Operations];

const onTask: Case = { outside: 'hidden', input: (place) => place.task() };
const onLease: Case = { outside: 'hidden', input: (place) => place.held() };
const error = { message: 'no' };

/** Every operation of the contract: a new one does not compile until it is here. */
const CASES: Record<Name, Case> = {
  'tasks.create': { outside: 'refused', input: ({ directory }) => ({ work_directory: directory, prompt: 'do it' }) },
  'tasks.createMany': {
    outside: 'refused',
    input: ({ directory }) => ({ tasks: [{ work_directory: directory, prompt: 'do it' }] }),
  },
  'tasks.get': onTask,
  'tasks.list': { outside: 'hidden', input: ({ directory }) => ({ work_directory: directory }) },
  'tasks.next': { outside: 'refused', input: ({ directory }) => ({ work_path: directory, worker_id: 'w' }) },
  'tasks.acquire': { outside: 'refused', input: ({ directory }) => ({ work_path: directory, worker_id: 'w' }) },
  'tasks.heartbeat': onLease,
  'tasks.heartbeatMany': { outside: 'hidden', input: async (place) => ({ heartbeats: [await place.held()] }) },
  'tasks.complete': onLease,
  'tasks.completeMany': { outside: 'hidden', input: async (place) => ({ completions: [await place.held()] }) },
  'tasks.fail': { outside: 'hidden', input: async (place) => ({ ...(await place.held()), error }) },
  'tasks.release': onLease,
  'tasks.cancel': onTask,
  'tasks.retry': { outside: 'hidden', input: (place) => place.failed() },
  'tasks.cancelMany': { outside: 'hidden', input: ({ directory }) => ({ filter: { work_directory: directory } }) },
  'tasks.retryMany': {
    outside: 'hidden',
    input: async (place) => (await place.failed(), { filter: { work_directory: place.directory } }),
  },
  'tasks.appendLog': {
    outside: 'hidden',
    input: async (place) => ({ ...(await place.held()), entries: [{ text: 'hello' }] }),
  },
  'tasks.logs': onTask,
  'tasks.events': onTask,
  'tasks.wait': {
    outside: 'hidden',
    input: async (place) => ({ task_ids: [(await place.task()).task_id], wait_seconds: 0.01 }),
  },
  // What has happened outside comes first.
  'events.stream': { outside: 'narrowed', input: () => ({ last_event_id: '0' }) },
  'workers.list': { outside: 'narrowed', input: async (place) => (await place.held(), {}) },
  'paths.list': { outside: 'narrowed', input: async (place) => (await place.task(), {}) },
  'paths.set': { outside: 'everywhere', input: ({ directory }) => ({ path: directory, weight: 1 }) },
  'keys.create': { outside: 'everywhere', input: () => ({ name: 'a key', roles: ['viewer'] }) },
  'keys.list': { outside: 'everywhere', input: () => ({}) },
  'keys.revoke': { outside: 'everywhere', input: () => ({ key_id: NOBODY }) },
  'keys.rotate': { outside: 'everywhere', input: () => ({ key_id: NOBODY }) },
  'stats.get': { outside: 'narrowed', input: () => ({}) },
  'health.get': { outside: 'everywhere', input: () => ({}) },
};

/** A service with tasks on both sides, and a key of one role for one side. */
async function startWithKey(role: Role) {
  const { url, core } = await startApp({ config: { task: { max_concurrent_tasks: 0 } } });
  const [outside, inside, nowhere] = [OUT, IN, NOWHERE].map((directory) => new Place(core, directory)) as [
    Place,
    Place,
    Place,
  ];
  await outside.held();
  await inside.held();
  const { secret } = (await restCall(url, KEY)('keys.create', {
    name: role,
    roles: [role],
    path_prefixes: role === 'admin' ? [] : [IN],
  })) as { secret: string };
  return { url, core, secret, inside, outside, nowhere };
}

const isFor = (role: Role, name: string): boolean => role === 'admin' || OPERATIONS.get(name)!.roles.includes(role);

const codeOf = (answer: unknown): unknown => (answer as { refused?: { code?: unknown } }).refused?.code;

/** Two answers are the same when they differ in nothing but what was asked for. */
function withoutNames(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer)
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
      .replaceAll(OUT, NOWHERE),
  );
}

const DOORS = { REST: restCall, tRPC: trpcCall };
const everyDoor = Object.keys(DOORS).flatMap((door) =>
  Role.options.map((role) => [door as keyof typeof DOORS, role] as const),
);

test.for(everyDoor)(
  'over %s a key of the role %s may do what the contract says, where its prefixes say',
  async ([door, role]) => {
    const { url, core, secret, inside, outside, nowhere } = await startWithKey(role);
    const call = DOORS[door](url, secret);
    for (const [name, { outside: answersOutside, input }] of Object.entries(CASES)) {
      const operation = OPERATIONS.get(name)!;
      const ask = async (place: Place) => {
        const asked = await input(place);
        await core.tick();
        return call(name, asked).catch(catchRefusal);
      };
      const within = await ask(inside);
      const beyond = await ask(outside);
      if (!operation.isPublic && !isFor(role, name)) {
        expect([codeOf(within), codeOf(beyond)], name).toEqual(['FORBIDDEN', 'FORBIDDEN']);
        continue;
      }
      expect(['FORBIDDEN', 'TASK_NOT_FOUND', 'UNAUTHORIZED', 'VALIDATION_ERROR'], name).not.toContain(codeOf(within));
      expect(JSON.stringify(within), name).not.toContain('TASK_NOT_FOUND');
      if (role === 'admin' || answersOutside === 'everywhere') {
        expect(codeOf(beyond), name).toBe(codeOf(within));
        continue;
      }
      switch (answersOutside) {
        case 'refused':
          expect(codeOf(beyond), name).toBe('FORBIDDEN');
          break;
        case 'hidden':
          expect({ name, answer: withoutNames(beyond) }).toEqual({ name, answer: withoutNames(await ask(nowhere)) });
          break;
        case 'narrowed':
          expect(codeOf(beyond), name).toBeUndefined();
          expect(JSON.stringify(beyond), name).not.toContain(OUT);
          break;
      }
    }
  },
);

test.for(['REST', 'tRPC'] as const)(
  'over %s nobody does anything without a key, except what is public',
  async (door) => {
    const { url } = await startApp();
    const call = DOORS[door](url, 'unknown');
    for (const [name, { isPublic }] of OPERATIONS) {
      const answer = await call(name, {}).catch(catchRefusal);
      expect(codeOf(answer), name).toBe(isPublic ? undefined : 'UNAUTHORIZED');
    }
  },
);

interface ToolCase {
  readonly outside: 'refused' | 'hidden';
  readonly args: (place: Place) => Fields | Promise<Fields>;
}

const TOOL_CASES: Record<string, ToolCase> = {
  acquire_task: { outside: 'refused', args: ({ directory }) => ({ work_path: directory }) },
  heartbeat_task: { outside: 'hidden', args: (place) => place.held() },
  complete_task: { outside: 'hidden', args: (place) => place.held() },
  fail_task: { outside: 'hidden', args: async (place) => ({ ...(await place.held()), error }) },
  release_task: { outside: 'hidden', args: (place) => place.held() },
  create_tasks: {
    outside: 'refused',
    args: ({ directory }) => ({ tasks: [{ work_directory: directory, prompt: 'do it' }] }),
  },
  wait_for_tasks: {
    outside: 'hidden',
    args: async (place) => ({ task_ids: [(await place.task()).task_id], wait_seconds: 0 }),
  },
  get_task: {
    outside: 'hidden',
    args: async (place) => ({ ...(await place.task()), include: ['prompt', 'logs', 'history'] }),
  },
  list_tasks: { outside: 'hidden', args: ({ directory }) => ({ work_directory: directory, subtree: true }) },
  cancel_task: { outside: 'hidden', args: (place) => place.task() },
};

test('every tool is in the test of roles', () => {
  expect(Object.keys(TOOL_CASES)).toEqual(TOOLS.map(({ definition }) => definition.name));
});

test.for(Role.options)(
  'an agent with a key of the role %s sees the tools it may use, and the others refuse it',
  async (role) => {
    const { url, secret: key, inside, outside, nowhere } = await startWithKey(role);
    const mayUse = (operations: readonly string[]) => operations.every((name) => isFor(role, name));
    const usable = TOOLS.filter(({ operations }) => mayUse(operations)).map(({ definition }) => definition.name);
    const { result } = await askRaw({ url, key, method: 'tools/list' });
    expect((result.tools as { name: string }[]).map(({ name }) => name)).toEqual(usable);

    for (const [name, { outside: answersOutside, args }] of Object.entries(TOOL_CASES)) {
      const ask = async (place: Place) => {
        const params = { name, arguments: await args(place) };
        return (await askRaw({ url, key, method: 'tools/call', params })).result.structuredContent;
      };
      const within = await ask(inside);
      const beyond = await ask(outside);
      if (!usable.includes(name)) {
        expect([within.error.code, beyond.error.code], name).toEqual(['FORBIDDEN', 'FORBIDDEN']);
        expect(within.next).toContain('API key does not allow');
        continue;
      }
      expect(within.error, name).toBeUndefined();
      if (role === 'admin') expect(beyond.error, name).toBeUndefined();
      else if (answersOutside === 'refused') expect(beyond.error?.code, name).toBe('FORBIDDEN');
      else expect({ name, answer: withoutNames(beyond) }).toEqual({ name, answer: withoutNames(await ask(nowhere)) });
    }
  },
);

test.for([
  ['producer', ['plan_and_queue', 'triage_failed'], ['task', 'task-result', 'task-logs', 'path']],
  ['worker', ['worker_loop'], ['task', 'task-result', 'task-logs']],
  ['viewer', ['triage_failed'], ['task', 'task-result', 'task-logs', 'path']],
  ['admin', ['worker_loop', 'plan_and_queue', 'triage_failed'], ['task', 'task-result', 'task-logs', 'path']],
] as const)('an agent of the role %s sees the prompts %j and the resources %j', async ([role, prompts, resources]) => {
  const { url, secret: key, inside, outside } = await startWithKey(role);
  const list = async (method: string, field: string) =>
    ((await askRaw({ url, key, method })).result[field] as { name: string }[]).map(({ name }) => name);
  expect(await list('prompts/list', 'prompts')).toEqual(prompts);
  expect(await list('resources/templates/list', 'resourceTemplates')).toEqual(resources);

  const read = async (uri: string) => (await askRaw({ url, key, method: 'resources/read', params: { uri } })).error;
  for (const part of ['', '/result', '/logs']) {
    expect(await read(`task://${(await inside.task()).task_id}${part}`)).toBeUndefined();
    const hidden = await read(`task://${(await outside.task()).task_id}${part}`);
    if (role === 'admin') expect(hidden).toBeUndefined();
    else expect(withoutNames(hidden)).toEqual(withoutNames(await read(`task://${NOBODY}${part}`)));
  }
});
