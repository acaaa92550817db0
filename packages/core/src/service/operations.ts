import type { AcquireOutput, BatchTask, EmptyReason, TaskEvent, TaskStatus } from '@task-orchestrator/contract';
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Operations } from '../core-api.ts';
import type { Engine, Querier } from '../db/engine.ts';
import { followEvents, type EventFilter, type EventSource } from '../dispatch/event-feed.ts';
import { createSelector, type Selector } from '../dispatch/selector.ts';
import { describeOutage } from '../db/outage.ts';
import { DomainError } from '../domain-error.ts';
import { requireInScope, type Scope } from '../domain/scope.ts';
import { refuseUnknown } from '../domain/task-state.ts';
import type { AcquireCall } from '../repository/acquire.ts';
import { createApiKeys } from '../repository/api-keys.ts';
import { measureBacklog } from '../repository/backlog.ts';
import { cancelTasks } from '../repository/cancel.ts';
import { completeTasks } from '../repository/complete.ts';
import { createTasks, type CreateBatch } from '../repository/create.ts';
import { failTasks } from '../repository/fail.ts';
import { heartbeatTasks, type HeartbeatResult } from '../repository/heartbeat.ts';
import { appendLogs, listLogs } from '../repository/logs.ts';
import { getPathState, listPaths, setPaths } from '../repository/paths.ts';
import { listEvents, pageOfEvents } from '../repository/read-events.ts';
import { getTask, listTasks } from '../repository/read-tasks.ts';
import { releaseTasks } from '../repository/release.ts';
import { retryTasks } from '../repository/retry.ts';
import { countInScope, findOldestWaiting } from '../repository/statistics.ts';
import { toReceipt, toTask } from '../repository/task-row.ts';
import { findOutside, requireDrafts, requireTasks } from '../repository/tasks-in-scope.ts';
import { countWorkersSeenSince, listWorkers } from '../repository/workers.ts';
import { changeEach } from './bulk.ts';
import type { CoreContext } from './context.ts';
import { tryWriteKeyUses, tryWriteSightings } from './maintenance.ts';
import { recount } from './peers.ts';
import { pollForTasks, type Polled } from './poll.ts';
import { waitForTasks } from './wait.ts';

const CANCELLABLE: readonly TaskStatus[] = ['blocked', 'scheduled', 'waiting', 'working'];
const RETRYABLE: readonly TaskStatus[] = ['failed', 'cancelled'];
const RECENT_MS = 5 * 60_000;

/** Every operation of the core, on one running context; what they write may be on its way to the disk when they settle. */
export function createOperations(context: CoreContext): Operations {
  const { commits, engine, policy, cipher } = context;
  const { reader } = engine;
  const startedAt = performance.now();

  async function create(batch: CreateBatch) {
    if (batch.scope !== undefined) await requireDrafts(reader, batch);
    const created = commits.run(createTasks, batch);
    expectReady(context, batch.tasks);
    return created;
  }

  /** Does something to one task, if that is in scope. */
  function onTask<Input extends { task_id: string }, Output>(run: (input: Input) => Promise<Output>) {
    return (input: Input, scope?: Scope): Promise<Output> =>
      scope === undefined ? run(input) : requireTasks(reader, [input.task_id], scope).then(() => run(input));
  }

  return {
    async createTask(input, scope) {
      const [row] = await create({ tasks: [input], isSingle: true, scope });
      return toTask(row!, cipher);
    },

    async createTasks({ tasks }, scope) {
      const rows = await create({ tasks, isSingle: false, scope });
      return { tasks: rows.map((row, index) => ({ ...toReceipt(row), ref: tasks[index]!.ref ?? null })) };
    },

    getTask: onTask(({ task_id }) => getTask(reader, cipher, task_id)),
    listTasks: (input, scope) => listTasks(engine, cipher, { ...input, scope }),

    async acquireTasks(input, signal, scope) {
      const acquired = await pollForTasks(
        context,
        {
          selector: selectInScope(input, scope),
          worker_id: input.worker_id,
          limit: input.limit,
          lease_seconds: input.lease_seconds ?? policy.defaultLeaseSeconds,
          acquire_id: input.acquire_id ?? null,
          scope,
        },
        input.wait_seconds,
        signal,
      );
      return toAcquireOutput(context, acquired, scope);
    },

    async acquireNextTask(input, signal, scope) {
      const call: AcquireCall = {
        selector: selectInScope(input, scope),
        worker_id: input.worker_id,
        limit: 1,
        lease_seconds: input.lease_seconds ?? 'timeout',
        acquire_id: null,
      };
      const { tasks } = await pollForTasks(context, call, input.wait_seconds, signal);
      return tasks[0] ?? null;
    },

    heartbeat: onTask(async (input) => sawHeartbeat(context, await commits.run(heartbeatTasks, input))),
    heartbeatMany: ({ heartbeats }, scope) =>
      answerEach({ items: heartbeats, reader, scope }, async (items) => {
        const outcomes = await commits.runEach(heartbeatTasks, items);
        return outcomes.map((outcome) => (outcome instanceof DomainError ? outcome : sawHeartbeat(context, outcome)));
      }),

    completeTask: onTask((input) => commits.run(completeTasks, input)),
    async completeTasks({ completions, refusals_only }, scope) {
      const { results } = await answerEach({ items: completions, reader, scope }, (items) =>
        commits.runEach(completeTasks, items),
      );
      return { results: refusals_only ? results.filter(({ error }) => error !== null) : results };
    },

    failTask: onTask((input) => commits.run(failTasks, input)),
    releaseTask: onTask((input) => commits.run(releaseTasks, input)),
    cancelTask: onTask(async (input) => toTask(await commits.run(cancelTasks, input), cipher)),
    retryTask: onTask(async (input) => toTask(await commits.run(retryTasks, input), cipher)),

    cancelTasks: ({ filter, reason, force, dry_run }, scope) =>
      changeEach(context, {
        filter: { ...filter, scope },
        statuses: CANCELLABLE,
        isDryRun: dry_run,
        change: (task_id) => commits.run(cancelTasks, { task_id, reason, force }),
      }),
    retryTasks: ({ filter, dry_run }, scope) =>
      changeEach(context, {
        filter: { ...filter, scope },
        statuses: RETRYABLE,
        isDryRun: dry_run,
        change: (task_id) => commits.run(retryTasks, { task_id }),
      }),

    appendLog: onTask((input) => commits.run(appendLogs, input)),
    listLogs: onTask((input) => listLogs(reader, input, { cipher, maxLogBytes: policy.maxLogBytes })),
    listEvents: onTask((input) => listEvents(reader, input)),
    async waitForTasks(input, signal, scope) {
      await requireTasks(reader, input.task_ids, scope);
      return waitForTasks(context, input, signal);
    },
    eventPosition: async () => String(await settledPosition(engine)),
    streamEvents: (input, signal, scope) => streamEvents(context, { ...input, scope }, signal),
    async listWorkers(input, scope) {
      await tryWriteSightings(context);
      return listWorkers(reader, input, scope);
    },
    listPaths: (input, scope) => listPaths(reader, input, context.waiting, scope),

    async setPath(input) {
      const setting = await commits.run(setPaths, input);
      context.settings.set(setting);
      context.waiters.wakeHeld();
      engine.peers?.publish({ types: [], ready: [], hasFreed: true, hasNewSettings: true });
      return getPathState(reader, setting, context.waiting);
    },

    async getStatistics(scope) {
      await tryWriteSightings(context);
      const now = await engine.now();
      const { counts, oldest } =
        scope === undefined ? await countEverywhere(context) : await countInScope(engine, scope);
      return {
        total_tasks: Object.values(counts).reduce((total, count) => total + count, 0),
        tasks: counts,
        oldest_waiting_seconds: oldest === null ? null : Math.max(0, now - oldest) / 1000,
        workers: await countWorkersSeenSince(reader, now - RECENT_MS, scope),
        uptime_seconds: (performance.now() - startedAt) / 1000,
      };
    },

    keys: createApiKeys({ engine, commits, uses: context.keyUses, writeUses: () => tryWriteKeyUses(context) }),
    gauges() {
      const { byStatus, waitingByRank } = context.counts;
      const [low = 0, medium = 0, high = 0] = waitingByRank;
      return { tasks: { ...byStatus }, waiting: { low, medium, high }, acquire_waiters: context.waiters.size };
    },
    measureBacklog: () => measureBacklog(context),

    writeProblem: () => (commits.outage === null ? null : describeOutage(commits.outage.error)),

    async ping() {
      const started = performance.now();
      await sql`SELECT 1`.execute(reader.kysely);
      return performance.now() - started;
    },
  };
}

/** Those who wait for such tasks are woken before the commit that brings them, so that it hands them out as well. */
function expectReady({ waiters }: CoreContext, tasks: readonly BatchTask[]): void {
  if (waiters.size === 0) return;
  const ready = new Map<string, number>();
  for (const { work_directory, run_at, depends_on } of tasks) {
    if (run_at === undefined && depends_on.length === 0)
      ready.set(work_directory, (ready.get(work_directory) ?? 0) + 1);
  }
  waiters.wakeForReady(ready, true);
}

/** Who may not take from everywhere and names no path takes from where it may. */
function selectInScope(input: Parameters<typeof createSelector>[0], scope: Scope): Selector {
  const selector = createSelector(input);
  if (scope === undefined) return selector;
  if (selector.paths === null) return { ...selector, paths: scope, subtree: true };
  if (input.work_path !== undefined) requireInScope('work_path', input.work_path, scope);
  input.work_paths?.forEach((path, index) => requireInScope(`work_paths.${index}`, path, scope));
  return selector;
}

async function countEverywhere(context: CoreContext): Promise<Awaited<ReturnType<typeof countInScope>>> {
  const { engine, turns } = context;
  if (engine.peers !== null) await recount(context);
  return { oldest: await findOldestWaiting(engine.reader, turns), counts: { ...context.counts.byStatus } };
}

function toAcquireOutput(context: CoreContext, { tasks, reason }: Polled, scope: Scope): AcquireOutput {
  if (reason === null) return { tasks };
  return { tasks: [], reason, retry_after_seconds: retryAfterSeconds(context, reason, scope) };
}

/** When it is worth to come back: for a caller that does not wait. */
function retryAfterSeconds({ due, engine }: CoreContext, reason: EmptyReason, scope: Scope): number {
  switch (reason) {
    case 'limit':
    case 'path_busy':
      return 1;
    case 'paused':
      return 10;
    case 'empty':
      // When the next task is due is known of all tasks only.
      return scope === undefined ? Math.min(10, Math.max(0.1, (due.dueAt - engine.clock()) / 1000)) : 10;
  }
}

function sawHeartbeat(
  context: CoreContext,
  { worker_id, ...reply }: HeartbeatResult,
): Omit<HeartbeatResult, 'worker_id'> {
  if (worker_id !== null) context.sightings.sawHeartbeat(worker_id, context.engine.clock());
  return reply;
}

interface ItemResult<Value> {
  index: number;
  task_id: string;
  value: Value | null;
  error: ReturnType<DomainError['toBody']> | null;
}

/** Each item for itself, those outside of the scope left out; what is not a refusal ends the whole call. */
async function answerEach<Item extends { task_id: string }, Value>(
  { items, reader, scope }: { items: readonly Item[]; reader: Querier; scope: Scope },
  ask: (items: readonly Item[]) => Promise<readonly (Value | DomainError)[]>,
): Promise<{ results: ItemResult<Value>[] }> {
  const ids = items.map(({ task_id }) => task_id);
  const outside = await findOutside(reader, ids, scope);
  const inside = items.filter(({ task_id }) => !outside.has(task_id));
  const outcomes = (inside.length > 0 ? await ask(inside) : []).values();
  const results = ids.map((task_id, index) => {
    const outcome = outside.has(task_id) ? refuseUnknown(task_id) : outcomes.next().value!;
    if (outcome instanceof DomainError) return { index, task_id, value: null, error: outcome.toBody() };
    return { index, task_id, value: outcome, error: null };
  });
  return { results };
}

/** Where other servers write, a stream also looks for itself this often; alone it hears of everything. */
const STREAM_NET_MS = 1_000;
const STREAM_NET_ALONE_MS = 60_000;

async function* streamEvents(
  context: CoreContext,
  filter: EventFilter,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent> {
  const { engine, feed } = context;
  const source: EventSource = {
    horizon: () => engine.eventHorizon(),
    read: (page) => pageOfEvents(engine, page),
  };
  const start = filter.last_event_id === undefined ? await settledPosition(engine) : Number(filter.last_event_id);
  const netMs = engine.peers === null ? STREAM_NET_ALONE_MS : STREAM_NET_MS;
  yield* followEvents(feed, source, { filter, start, netMs, signal });
}

const SETTLES_WITHIN_MS = 2_000;

/** The number of the newest event there is now. What is being written at this moment is waited for, within reason. */
async function settledPosition(engine: Engine): Promise<number> {
  const until = performance.now() + SETTLES_WITHIN_MS;
  const { drawn: now, ...first } = await engine.eventHorizon();
  let { settled } = first;
  while (settled < now && performance.now() < until) {
    await pause(5);
    ({ settled } = await engine.eventHorizon());
  }
  return now;
}
