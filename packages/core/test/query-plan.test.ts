import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListInput, WorkersInput } from '@task-orchestrator/contract';
import { openCore, type Core } from '@task-orchestrator/core';
import { CompiledQuery, sql } from 'kysely';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { BAND_BITS } from '../src/domain/band.ts';
import { StatementCache, type Engine, type Statement } from '../src/db/engine.ts';
import { migrate } from '../src/db/migrate.ts';
import { SqliteConnection } from '../src/db/sqlite/kysely-dialect.ts';
import { openSqliteEngine } from '../src/db/sqlite/sqlite-engine.ts';
import { Cipher, NO_KEYS } from '../src/encryption/cipher.ts';
import {
  firstCreatedOfEachTurn,
  firstOfEachTurn,
  headsInBand,
  headsLater,
  nextBand,
  taggedHeadsInBand,
  taggedHeadsLater,
} from '../src/repository/acquire-heads-in-bands.ts';
import { countWorking, tasksByAcquireId } from '../src/repository/acquire.ts';
import { workingDirectories } from '../src/repository/backlog.ts';
import { dependencyStates } from '../src/repository/dependants.ts';
import type { ScopedFilter } from '../src/repository/filter.ts';
import { expiredLeases } from '../src/repository/expire-leases.ts';
import {
  anyWaitingExclusive,
  countWorkingBelow,
  countWorkingIn,
  exclusiveHeads,
  workingExclusive,
} from '../src/repository/path-guard.ts';
import { dueTasks, nextDue } from '../src/repository/promote-due.ts';
import { listTasks } from '../src/repository/read-tasks.ts';
import { removableTasks } from '../src/repository/remove-finished.ts';
import { flowsInBands, nextLaterFlow, nextWaitingBand } from '../src/repository/statistics.ts';
import {
  aBatchTask,
  aSetting,
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  failureOf,
  heartbeatOf,
  listOf,
  logOf,
  releaseOf,
  take,
} from './builders.ts';
import { POLICY } from './engines.ts';

const PLAIN = new Cipher(NO_KEYS);
const PER_STATUS = 3_000;
const NOW = Date.parse('2030-01-01T00:00:00.000Z');

let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-plan-'));
  engine = openSqliteEngine({
    path: join(folder, 'tasks.db'),
    durability: 'normal',
    enableWalMode: true,
    busyTimeoutSeconds: 1,
    clock: () => NOW,
  });
  await migrate(engine);
  await engine.transaction(({ kysely }) => fill(kysely));
});

afterAll(async () => {
  await engine.close();
  await rm(folder, { recursive: true });
});

/** A few thousand tasks of each status over some hundred paths, with a history each. */
async function fill(kysely: Engine['reader']['kysely']): Promise<void> {
  await sql`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${sql.lit(7 * PER_STATUS)}),
    t AS (SELECT i, CASE i % 7 WHEN 0 THEN 'blocked' WHEN 1 THEN 'scheduled' WHEN 2 THEN 'waiting' WHEN 3 THEN 'working'
      WHEN 4 THEN 'completed' WHEN 5 THEN 'failed' ELSE 'cancelled' END AS status FROM n)
    INSERT INTO tasks (task_id, work_directory, status, priority, attempt, max_attempts, timeout_seconds, exclusive,
      on_dependency_failure, run_at, worker_id, acquire_id, lease_token, lease_epoch, lease_state, lease_expires_at, cancel_requested,
      idempotency_key, idempotency_window_hours, log_bytes, created_at, updated_at, finished_at, tags, prompt)
    SELECT 'task-' || i, '/p/' || (i % 300), status, i % 3, 1, 4, 3600, i % 11 = 0, 'cancel', ${sql.lit(NOW)} + i, 'w' || (i % 50),
      CASE WHEN status = 'working' THEN 'a' || i END, 'token', 1, 'live', CASE WHEN status = 'working' THEN ${sql.lit(NOW)} + i END, 0,
      CASE WHEN i % 2 THEN 'key' || i END, 24, 0, ${sql.lit(NOW)}, ${sql.lit(NOW)},
      CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN ${sql.lit(NOW)} - i END,
      CASE WHEN i % 2 THEN '["x"]' END, 'prompt' FROM t`.execute(kysely);
  await sql`INSERT INTO events (task_seq, type, status, attempt, lease_epoch, at) SELECT seq, 'created', status, 0, 0, created_at FROM tasks`.execute(
    kysely,
  );
  await sql`INSERT INTO task_logs (task_seq, at, attempt, stream, text) SELECT seq, created_at, 1, 'stdout', 'x' FROM tasks`.execute(
    kysely,
  );
  await sql`INSERT INTO task_dependencies (task_seq, depends_on_seq) SELECT seq, seq - 1 FROM tasks WHERE status = 'blocked'`.execute(
    kysely,
  );
}

async function planOf(query: CompiledQuery, on: Engine = engine): Promise<string[]> {
  const explain = CompiledQuery.raw(`EXPLAIN QUERY PLAN ${query.sql}`, [...query.parameters]);
  const { rows } = await on.reader.kysely.executeQuery<{ detail: string }>(explain);
  return rows.map(({ detail }) => detail);
}

async function scansOf(query: CompiledQuery): Promise<string[]> {
  const newest = NEWEST.exec(query.sql)?.[1];
  return (await planOf(query)).filter((step) => isScan(step) && step !== `SCAN ${newest}`);
}

function compile<Args extends readonly unknown[], Row>(statement: Statement<Args, Row>, args: Args): CompiledQuery {
  return new StatementCache(engine.reader.kysely, engine.dialect).bind(statement, args);
}

/** The newest row by its key is found at once, though the plan calls that a scan. */
const NEWEST = /from "?(tasks|events)"? order by ("events"\.)?"?seq"? desc limit/i;

const isScan = (step: string): boolean =>
  /^SCAN (tasks|dependant|events|task_logs|task_dependencies)\b(?!.*USING (COVERING )?INDEX)/.test(step);

const json = JSON.stringify;
/** Each hot statement with the index that it is there for; `sorts` where the order is not the index's. */
const HOT: readonly { name: string; query: () => CompiledQuery; index: string; sorts?: true }[] = [
  { name: 'headsInBand', query: () => compile(headsInBand, [1, '/p/2', 2, 0, 10]), index: 'tasks_waiting ' },
  {
    name: 'taggedHeadsInBand',
    query: () => compile(taggedHeadsInBand, [1, '/p/2', 2, 0, 10, '["x"]']),
    index: 'tasks_waiting ',
  },
  { name: 'headsLater', query: () => compile(headsLater, ['/p/2', 2, 0, 0, 10]), index: 'tasks_waiting_later' },
  {
    name: 'taggedHeadsLater',
    query: () => compile(taggedHeadsLater, ['/p/2', 2, 0, 0, 10, '["x"]']),
    index: 'tasks_waiting_later',
  },
  { name: 'nextBand', query: () => compile(nextBand, [1, '/p/2', 2]), index: 'tasks_waiting ' },
  {
    name: 'firstCreatedOfEachTurn',
    query: () => compile(firstCreatedOfEachTurn, [json([['/p/2', 2, 0, 0, 0, 0]])]),
    index: 'tasks_waiting ',
  },
  {
    name: 'firstOfEachTurn',
    query: () => compile(firstOfEachTurn, [json([['/p/2', 2, 0, 0, 0, 0]])]),
    index: 'tasks_waiting ',
  },
  {
    name: 'tasksByAcquireId',
    query: () => compile(tasksByAcquireId, [json(['a3'])]),
    index: 'tasks_acquire_id',
    sorts: true,
  },
  { name: 'countWorking', query: () => compile(countWorking, []), index: 'tasks_' },
  { name: 'expiredLeases', query: () => compile(expiredLeases, [NOW + 100, 200]), index: 'tasks_lease' },
  { name: 'dueTasks', query: () => compile(dueTasks, [NOW + 100, 200]), index: 'tasks_scheduled' },
  { name: 'nextDue', query: () => compile(nextDue, []), index: 'tasks_scheduled' },
  { name: 'nextWaitingBand', query: () => compile(nextWaitingBand, [1]), index: 'tasks_waiting ' },
  { name: 'flowsInBands', query: () => compile(flowsInBands, [1, 65]), index: 'tasks_waiting ', sorts: true },
  { name: 'nextLaterFlow', query: () => compile(nextLaterFlow, ['/p/2', 1]), index: 'tasks_waiting_later' },
  { name: 'workingDirectories', query: () => compile(workingDirectories, []), index: 'tasks_working' },
  { name: 'workingExclusive', query: () => compile(workingExclusive, []), index: 'tasks_working_exclusive' },
  { name: 'anyWaitingExclusive', query: () => compile(anyWaitingExclusive, []), index: 'tasks_waiting_exclusive' },
  { name: 'countWorkingIn', query: () => compile(countWorkingIn, [json(['/p/2', '/p', '/'])]), index: 'tasks_working' },
  { name: 'countWorkingBelow', query: () => compile(countWorkingBelow, ['/p/', '/p0']), index: 'tasks_working' },
  {
    name: 'exclusiveHeads',
    query: () => compile(exclusiveHeads, [json(['/p/2', '/p', '/'])]),
    index: 'tasks_waiting_exclusive',
  },
  { name: 'removableTasks', query: () => compile(removableTasks, [NOW, NOW, 200]), index: 'tasks_finished' },
  {
    name: 'dependencyStates',
    query: () => compile(dependencyStates, [json([7, 14])]),
    index: 'task_dependencies_task',
  },
];

test.for(HOT)('$name uses the index $index, without a scan or a sort', async ({ query, index, sorts }) => {
  const plan = await planOf(query());
  expect(plan.join('\n')).toContain(`INDEX ${index}`);
  expect(await scansOf(query())).toEqual([]);
  if (!sorts) expect(plan.filter((step) => step.includes('TEMP B-TREE'))).toEqual([]);
});

test('no statement that the operations run scans a table of tasks, events or logs', async () => {
  await engine.close();
  const executed = vi.spyOn(SqliteConnection.prototype, 'executeQuery');
  const core = await openCore({
    database: {
      engine: 'sqlite',
      path: join(folder, 'tasks.db'),
      durability: 'normal',
      enableWalMode: true,
      busyTimeoutSeconds: 1,
    },
    task: { ...POLICY, maxConcurrentTasks: 100_000 },
    clock: () => NOW + 1,
    background: false,
  });
  let queries: CompiledQuery[] = [];
  try {
    executed.mockClear();
    await everyOperation(core);
    queries = executed.mock.calls.map(([query]) => query);
  } finally {
    executed.mockRestore();
    await core.close();
    engine = openSqliteEngine({
      path: join(folder, 'tasks.db'),
      durability: 'normal',
      enableWalMode: true,
      busyTimeoutSeconds: 1,
      clock: () => NOW,
    });
  }
  const bad: string[] = [];
  for (const query of new Map(queries.map((query) => [query.sql, query])).values()) {
    if (!/^(select|with|update|delete|insert)\b/i.test(query.sql)) continue;
    const scans = await scansOf(query);
    if (scans.length > 0) bad.push(`${scans.join('; ')}: ${query.sql}`);
  }
  expect(bad).toEqual([]);
});

async function everyOperation(core: Core): Promise<void> {
  await core.setPath(aSetting('/p', { max_concurrent: 50_000 }));
  const first = await core.createTask(aTask({ work_directory: '/q', idempotency_key: 'mine', tags: ['x'] }));
  await core.createTasks({
    tasks: [aBatchTask({ depends_on: [first.task_id] }), aBatchTask({ exclusive: true, work_directory: '/r' })],
  });
  const task = await take(core, { work_path: '/q', acquire_id: 'mine', tags_any: ['x'] });
  await core.heartbeat(heartbeatOf(task));
  await core.appendLog(logOf(task, 'x'));
  await core.releaseTask(releaseOf(task));
  const again = await take(core, { work_path: '/q' });
  await core.failTask(failureOf(again, { retryable: false }));
  await core.retryTask(again);
  const last = await take(core, { work_path: '/q' });
  await core.completeTask(completionOf(last, { original_prompt: 'do it' }));
  await core.acquireTasks(anAcquire({ work_path: '/', subtree: true, limit: 5 }));
  await core.acquireNextTask({ work_path: '/p/3', worker_id: 'w', subtree: true, wait_seconds: 0 });
  const other = await core.createTask(aTask());
  await core.cancelTask(cancelOf(other));
  await core.cancelTasks({ filter: { work_directory: '/p/5' }, force: false, dry_run: false });
  await core.retryTasks({ filter: { work_directory: '/p/5', tag: 'x' }, dry_run: false });
  await core.getTask(task);
  await core.listEvents({ task_id: task.task_id, limit: 10 });
  await core.listLogs({ task_id: task.task_id, limit: 10 });
  await core.waitForTasks({ task_ids: [task.task_id], until: 'all', wait_seconds: 0 });
  await core.listWorkers(WorkersInput.parse({}));
  await core.listPaths({ limit: 10 });
  await core.getStatistics();
  const ending = new AbortController();
  for await (const _event of core.streamEvents({ work_directory: '/p/3', last_event_id: '0' }, ending.signal))
    ending.abort();
  await core.tick();
  await everyScopedOperation(core, ['/p/3', '/p/4']);
}

/** What a scope adds to statements, and those that only callers with one run. */
async function everyScopedOperation(core: Core, scope: readonly string[]): Promise<void> {
  const first = await core.createTask(aTask({ work_directory: '/p/3/scoped' }), scope);
  await core.createTask(aTask({ work_directory: '/p/3/scoped', depends_on: [first.task_id] }), scope);
  await core.getTask(first, scope);
  await core.listTasks(listOf(), scope);
  await core.listTasks(listOf({ status: 'waiting', tag: 'x' }), scope);
  await core.cancelTasks({ filter: { status: 'blocked' }, force: false, dry_run: true }, scope);
  await core.listPaths({ limit: 10 }, scope);
  await core.listWorkers(WorkersInput.parse({}), scope);
  await core.getStatistics(scope);
  await core.keys.insert({ name: 'a key', roles: ['worker'], path_prefixes: [], hash: 'hash' });
  await core.keys.findByHash('hash');
}

test.for([
  [{ status: 'blocked' }, 'tasks_blocked'],
  [{ status: 'failed' }, 'tasks_failed'],
  [{ status: 'cancelled' }, 'tasks_cancelled'],
  [{ status: 'working' }, 'tasks_lease'],
] as const)('the list by %o comes from the index %s in its order', async ([filter, index]) => {
  const plan = (await plansOfList(filter))[0]!;
  expect(plan.join('\n')).toContain(index);
  expect(plan.filter((step) => step.includes('TEMP B-TREE'))).toEqual([]);
});

test.for([
  { work_directory: '/p/3' },
  { work_directory: '/p', subtree: true },
  { work_directory: '/p/3', status: 'waiting' },
  { work_directory: '/p/3', status: ['failed', 'completed'] },
] as const)('the list by %o seeks in bands of the index tasks_directory', async (filter) => {
  const plans = await plansOfList(filter as Partial<ListInput>);
  const page = plans.find((plan) => plan[0]!.includes('tasks_directory'));
  const seek = 'subtree' in filter ? 'work_directory>? AND work_directory<?' : 'work_directory=?';
  expect(page?.join('\n')).toContain(`tasks_directory (<expr>=? AND ${seek}`);
});

test('a list of a directory neither skips nor repeats a task at the edges of bands', async () => {
  const filter = { work_directory: '/p/3', limit: 100 };
  const found: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await listTasks(engine, PLAIN, ListInput.parse({ ...filter, cursor }));
    found.push(...page.tasks.map(({ task_id }) => task_id));
    cursor = page.next_cursor;
  }
  const all = await engine.reader.kysely
    .selectFrom('tasks')
    .select(['task_id', 'seq'])
    .where('work_directory', '=', '/p/3')
    .orderBy('seq', 'desc')
    .execute();
  expect(all.at(0)!.seq - all.at(-1)!.seq).toBeGreaterThan(2 ** BAND_BITS);
  expect(found).toEqual(all.map(({ task_id }) => task_id));
  const { tasks, total } = await listTasks(engine, PLAIN, ListInput.parse({ ...filter, offset: 150 }));
  expect(tasks.map(({ task_id }) => task_id)).toEqual(found.slice(150, 250));
  expect(total).toBe(all.length);
});

test.for([[['/p/3']], [['/p/3', '/p/4', '/p/77']]] as const)(
  'the list of the scope %j, and its total, seek in bands, area by area',
  async ([scope]) => {
    const plans = await plansOfList({ scope });
    const seeks = plans.filter((plan) => plan[0]!.includes('tasks_directory'));
    expect(seeks.length).toBeGreaterThanOrEqual(2 * scope.length);
    for (const plan of seeks) expect(plan[0]).toContain('(<expr>=? AND work_directory>? AND work_directory<?)');
  },
);

test('the total of finished tasks is counted in an index and not in the table', async () => {
  const [, count] = await plansOfList({ status: ['completed', 'failed'] });
  expect(count!.join()).toContain('COVERING INDEX tasks_finished');
});

/** Of the page and of the total. */
async function plansOfList({ scope, ...filter }: Partial<ListInput & ScopedFilter>): Promise<string[][]> {
  const executed = vi.spyOn(SqliteConnection.prototype, 'executeQuery');
  await listTasks(engine, PLAIN, { ...ListInput.parse(filter), scope });
  const queries = executed.mock.calls.map(([query]) => query);
  executed.mockRestore();
  return Promise.all(queries.map((query) => planOf(query)));
}
