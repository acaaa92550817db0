import type { AcquireOutput, EmptyReason, StreamInput, TaskEvent, TaskStatus } from '@task-orchestrator/contract';
import { setTimeout as pause } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Core } from '../core-api.ts';
import type { Engine } from '../db/engine.ts';
import { followEvents, type EventSource } from '../dispatch/event-feed.ts';
import { createSelector } from '../dispatch/selector.ts';
import { describeOutage } from '../db/outage.ts';
import { DomainError } from '../domain-error.ts';
import type { AcquireCall, Acquired } from '../repository/acquire.ts';
import { createApiKeys } from '../repository/api-keys.ts';
import { measureBacklog } from '../repository/backlog.ts';
import { cancelTasks } from '../repository/cancel.ts';
import { completeTasks } from '../repository/complete.ts';
import { createTasks } from '../repository/create.ts';
import { failTasks } from '../repository/fail.ts';
import { heartbeatTasks, type HeartbeatResult } from '../repository/heartbeat.ts';
import { appendLogs, listLogs } from '../repository/logs.ts';
import { getPathState, listPaths, setPaths } from '../repository/paths.ts';
import { listEvents, pageOfEvents } from '../repository/read-events.ts';
import { getTask, listTasks } from '../repository/read-tasks.ts';
import { releaseTasks } from '../repository/release.ts';
import { retryTasks } from '../repository/retry.ts';
import { findOldestWaiting } from '../repository/statistics.ts';
import { toAcquiredTask, toReceipt, toTask } from '../repository/task-row.ts';
import { countWorkersSeenSince, listWorkers } from '../repository/workers.ts';
import { changeEach } from './bulk.ts';
import type { CoreContext } from './context.ts';
import { tryWriteSightings } from './maintenance.ts';
import { recount } from './peers.ts';
import { pollForTasks } from './poll.ts';
import { waitForTasks } from './wait.ts';

const CANCELLABLE: readonly TaskStatus[] = ['blocked', 'scheduled', 'waiting', 'working'];
const RETRYABLE: readonly TaskStatus[] = ['failed', 'cancelled'];
const RECENT_MS = 5 * 60_000;

/** Every operation of the core, on one running context. */
export function createOperations(context: CoreContext): Omit<Core, 'tick' | 'drain' | 'close'> {
  const { commits, engine, policy } = context;
  const { reader } = engine;
  const startedAt = performance.now();
  return {
    async createTask(input) {
      const [row] = await commits.run(createTasks, { tasks: [input], isSingle: true });
      return toTask(row!);
    },

    async createTasks({ tasks }) {
      const rows = await commits.run(createTasks, { tasks, isSingle: false });
      return { tasks: rows.map((row, index) => ({ ...toReceipt(row), ref: tasks[index]!.ref ?? null })) };
    },

    getTask: ({ task_id }) => getTask(reader, task_id),
    listTasks: (input) => listTasks(engine, input),

    async acquireTasks(input, signal) {
      const acquired = await pollForTasks(
        context,
        {
          selector: createSelector(input),
          worker_id: input.worker_id,
          limit: input.limit,
          lease_seconds: input.lease_seconds ?? policy.defaultLeaseSeconds,
          acquire_id: input.acquire_id ?? null,
        },
        input.wait_seconds,
        signal,
      );
      return toAcquireOutput(context, acquired);
    },

    async acquireNextTask(input, signal) {
      const call: AcquireCall = {
        selector: createSelector(input),
        worker_id: input.worker_id,
        limit: 1,
        lease_seconds: input.lease_seconds ?? 'timeout',
        acquire_id: null,
      };
      const { tasks } = await pollForTasks(context, call, input.wait_seconds, signal);
      return tasks[0] ? toAcquiredTask(tasks[0]) : null;
    },

    heartbeat: async (input) => sawHeartbeat(context, await commits.run(heartbeatTasks, input)),
    heartbeatMany: ({ heartbeats }) =>
      answerEach(heartbeats, async (input) => sawHeartbeat(context, await commits.run(heartbeatTasks, input))),

    completeTask: (input) => commits.run(completeTasks, input),
    completeTasks: ({ completions }) => answerEach(completions, (input) => commits.run(completeTasks, input)),

    failTask: (input) => commits.run(failTasks, input),
    releaseTask: (input) => commits.run(releaseTasks, input),
    cancelTask: (input) => commits.run(cancelTasks, input),
    retryTask: (input) => commits.run(retryTasks, input),

    cancelTasks: ({ filter, reason, force, dry_run }) =>
      changeEach(context, {
        filter,
        statuses: CANCELLABLE,
        isDryRun: dry_run,
        change: (task_id) => commits.run(cancelTasks, { task_id, reason, force }),
      }),
    retryTasks: ({ filter, dry_run }) =>
      changeEach(context, {
        filter,
        statuses: RETRYABLE,
        isDryRun: dry_run,
        change: (task_id) => commits.run(retryTasks, { task_id }),
      }),

    appendLog: (input) => commits.run(appendLogs, input),
    listLogs: (input) => listLogs(reader, input, policy.maxLogBytes),
    listEvents: (input) => listEvents(reader, input),
    waitForTasks: (input, signal) => waitForTasks(context, input, signal),
    eventPosition: async () => String(await settledPosition(engine)),
    streamEvents: (input, signal) => streamEvents(context, input, signal),
    async listWorkers(input) {
      await tryWriteSightings(context);
      return listWorkers(reader, input);
    },
    listPaths: (input) => listPaths(reader, input, context.waiting),

    async setPath(input) {
      const setting = await commits.run(setPaths, input);
      context.settings.set(setting);
      context.waiters.wakeHeld();
      engine.peers?.publish({ types: [], ready: [], hasFreed: true, hasNewSettings: true });
      return getPathState(reader, setting, context.waiting);
    },

    async getStatistics() {
      await tryWriteSightings(context);
      const now = await engine.now();
      if (engine.peers !== null) await recount(context);
      const oldest = await findOldestWaiting(reader, context.turns);
      return {
        total_tasks: Object.values(context.counts.byStatus).reduce((total, count) => total + count, 0),
        tasks: { ...context.counts.byStatus },
        oldest_waiting_seconds: oldest === null ? null : Math.max(0, now - oldest) / 1000,
        workers: await countWorkersSeenSince(reader, now - RECENT_MS),
        uptime_seconds: (performance.now() - startedAt) / 1000,
      };
    },

    keys: createApiKeys(reader, commits),
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

function toAcquireOutput(context: CoreContext, { tasks, reason }: Acquired): AcquireOutput {
  if (reason === null) return { tasks: tasks.map(toAcquiredTask) };
  return { tasks: [], reason, retry_after_seconds: retryAfterSeconds(context, reason) };
}

/** When it is worth to come back: for a caller that does not wait. */
function retryAfterSeconds({ due, engine }: CoreContext, reason: EmptyReason): number {
  switch (reason) {
    case 'limit':
    case 'path_busy':
      return 1;
    case 'paused':
      return 10;
    case 'empty':
      return Math.min(10, Math.max(0.1, (due.dueAt - engine.clock()) / 1000));
  }
}

function sawHeartbeat(
  context: CoreContext,
  { worker_id, ...reply }: HeartbeatResult,
): Omit<HeartbeatResult, 'worker_id'> {
  if (worker_id !== null) context.sightings.sawHeartbeat(worker_id, context.engine.clock());
  return reply;
}

/** Each item for itself; what is not a refusal ends the whole call. */
async function answerEach<Item extends { task_id: string }, Value>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Value>,
): Promise<{ results: { task_id: string; value: Value | null; error: ReturnType<DomainError['toBody']> | null }[] }> {
  const results = await Promise.all(
    items.map(async (item) => {
      try {
        return { task_id: item.task_id, value: await ask(item), error: null };
      } catch (error) {
        if (!(error instanceof DomainError) || error.code === 'UNAVAILABLE') throw error;
        return { task_id: item.task_id, value: null, error: error.toBody() };
      }
    }),
  );
  return { results };
}

/** Where other servers write, a stream also looks for itself this often; alone it hears of everything. */
const STREAM_NET_MS = 1_000;
const STREAM_NET_ALONE_MS = 60_000;

async function* streamEvents(
  context: CoreContext,
  filter: StreamInput,
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
