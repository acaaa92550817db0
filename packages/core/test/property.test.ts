import { CreateTask, TaskStatus, type AcquiredTask, type Task, type TaskEvent } from '@task-orchestrator/contract';
import { DomainError, type Core } from '@task-orchestrator/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  anAcquire,
  aSetting,
  cancelOf,
  completionOf,
  failureOf,
  heartbeatOf,
  listOf,
  logOf,
  releaseOf,
} from './builders.ts';
import { forEachEngine, type OpenedCore } from './engines.ts';
import { comesBefore, isAtOrBelow, Model, overlap, type ModelTask } from './model.ts';

const PATHS = ['/', '/a', '/a/b', '/a/b/c', '/ab', '/d'] as const;
const WORKERS = ['w1', 'w2', 'w3'] as const;
const TAGS = ['x', 'y'] as const;
const RANKS = { low: 0, medium: 1, high: 2 } as const;

interface Policy {
  readonly maxConcurrentTasks: number;
  readonly priorityAgeingSeconds: number;
}

/** One call each; `pick` chooses among the tasks or leases there are. */
type Step =
  | {
      do: 'create';
      path: string;
      priority: keyof typeof RANKS;
      exclusive: boolean;
      tags: string[];
      delay: number;
      picks: number[];
      runsAnyway: boolean;
      maxAttempts: number;
      timeout: number;
      key: string | null;
    }
  | {
      do: 'acquire';
      worker: string;
      paths: string[];
      subtree: boolean;
      tags: string[] | null;
      limit: number;
      lease: number;
      again: boolean;
    }
  | { do: 'heartbeat' | 'complete' | 'release' | 'log'; pick: number }
  | { do: 'fail'; pick: number; retryable: boolean; after: number | null }
  | { do: 'cancel'; pick: number; force: boolean }
  | { do: 'retry'; pick: number }
  | { do: 'path'; path: string; paused: boolean; limit: number | null }
  | { do: 'advance'; seconds: number; tick: boolean };

const pick = fc.nat(1000);
const path = fc.constantFrom(...PATHS);
const tags = fc.subarray([...TAGS]);
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      path,
      priority: fc.constantFrom('low' as const, 'medium' as const, 'high' as const),
      exclusive: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
      tags,
      delay: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: -20, max: 60 })),
      picks: fc.oneof({ weight: 3, arbitrary: fc.constant<number[]>([]) }, fc.array(pick, { maxLength: 3 })),
      runsAnyway: fc.boolean(),
      maxAttempts: fc.integer({ min: 1, max: 3 }),
      timeout: fc.constantFrom(20, 60, 3600),
      key: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.constantFrom('k1', 'k2')),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      worker: fc.constantFrom(...WORKERS),
      paths: fc.oneof(fc.constant<string[]>([]), fc.array(path, { minLength: 1, maxLength: 3 })),
      subtree: fc.boolean(),
      tags: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.subarray([...TAGS], { minLength: 1 })),
      limit: fc.integer({ min: 1, max: 4 }),
      lease: fc.constantFrom(5, 30),
      again: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('heartbeat' as const, 'complete' as const, 'release' as const, 'log' as const),
      pick,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      pick,
      retryable: fc.boolean(),
      after: fc.constantFrom(null, 0, 1.1, 10),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick, force: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('retry' as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('path' as const),
      path,
      paused: fc.boolean(),
      limit: fc.constantFrom(null, 1, 2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      seconds: fc.constantFrom(0.5, 4, 11, 31, 120),
      tick: fc.boolean(),
    }),
  },
);

/** The service and the model side by side. */
class Run {
  readonly core: Core;
  readonly opened: OpenedCore;
  readonly model: Model;
  /** Every lease that was ever handed out, so that zombies speak up too. */
  readonly leases: AcquiredTask[] = [];
  readonly keys = new Map<string, { body: string; id: string }>();
  readonly epochs = new Map<string, number>();
  created = 0;

  constructor(opened: OpenedCore, policy: Policy) {
    this.opened = opened;
    this.core = opened.core;
    this.model = new Model(opened.clock.now, {
      maxConcurrent: policy.maxConcurrentTasks,
      ageingMs: policy.priorityAgeingSeconds * 1000,
    });
  }

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case 'create':
        return this.create(step);
      case 'acquire':
        return this.acquire(step);
      case 'heartbeat':
        return this.withLease(step.pick, async (lease) => {
          const answer = await answerOf(this.core.heartbeat(heartbeatOf(lease)));
          expect(answer).toBe(this.model.heartbeat(lease.task_id, lease.lease_token));
        });
      case 'complete':
        return this.withLease(step.pick, async (lease) => {
          const answer = await answerOf(
            this.core.completeTask(completionOf(lease, { result: { output: lease.lease_epoch } })),
          );
          expect(answer).toBe(this.model.complete(lease.task_id, lease.lease_token));
          if (answer === 'ok')
            expect((await this.core.getTask(lease)).result).toEqual({ status: 'success', output: lease.lease_epoch });
        });
      case 'release':
        return this.withLease(step.pick, async (lease) => {
          const answer = await answerOf(this.core.releaseTask(releaseOf(lease)));
          expect(answer).toBe(this.model.release(lease.task_id, lease.lease_token));
        });
      case 'log':
        return this.withLease(step.pick, async (lease) => {
          const answer = await answerOf(this.core.appendLog(logOf(lease, 'line')));
          const { status, token } = this.model.get(lease.task_id);
          expect(answer).toBe(status === 'working' && token === lease.lease_token ? 'ok' : 'LEASE_LOST');
        });
      case 'fail':
        return this.withLease(step.pick, async (lease) => {
          const after = step.after === null ? {} : { retry_after_seconds: step.after };
          const answer = await answerOf(this.core.failTask(failureOf(lease, { retryable: step.retryable, ...after })));
          const { run_at } = await this.core.getTask(lease);
          if (
            step.after !== null &&
            answer === 'ok' &&
            this.model.get(lease.task_id).lease === 'live' &&
            step.retryable
          )
            expect(Date.parse(run_at)).toBeLessThanOrEqual(this.model.now + step.after * 1000);
          expect(answer).toBe(this.model.fail(lease.task_id, lease.lease_token, step.retryable, Date.parse(run_at)));
        });
      case 'cancel':
        return this.withTask(step.pick, async ({ id }) => {
          const answer = await answerOf(this.core.cancelTask(cancelOf({ task_id: id }, { force: step.force })));
          expect(answer).toBe(this.model.cancel(id, step.force));
        });
      case 'retry':
        return this.withTask(step.pick, async ({ id }) => {
          expect(await answerOf(this.core.retryTask({ task_id: id }))).toBe(this.model.retry(id));
        });
      case 'path':
        await this.core.setPath(aSetting(step.path, { paused: step.paused, max_concurrent: step.limit }));
        if (step.paused) this.model.paused.add(step.path);
        else this.model.paused.delete(step.path);
        if (step.limit === null) this.model.limits.delete(step.path);
        else this.model.limits.set(step.path, step.limit);
        return;
      case 'advance': {
        this.opened.clock.advance(step.seconds);
        this.model.now = this.opened.clock.now;
        if (!step.tick) return;
        await this.core.tick();
        const runAts = new Map<string, number>();
        for (const task of await this.readAll()) runAts.set(task.task_id, Date.parse(task.run_at));
        this.model.tick((id) => runAts.get(id)!);
        return;
      }
    }
  }

  async create(step: Extract<Step, { do: 'create' }>): Promise<void> {
    const known = [...this.model.tasks.keys()];
    const depends_on = known.length === 0 ? [] : [...new Set(step.picks.map((index) => known[index % known.length]!))];
    const input = CreateTask.parse({
      work_directory: step.path,
      prompt: 'p',
      priority: step.priority,
      exclusive: step.exclusive,
      tags: step.tags,
      depends_on,
      on_dependency_failure: step.runsAnyway ? 'run' : 'cancel',
      max_attempts: step.maxAttempts,
      timeout_seconds: step.timeout,
      ...(step.delay === 0 ? {} : { run_at: this.opened.clock.in(step.delay) }),
      ...(step.key === null ? {} : { idempotency_key: step.key, idempotency_window: 'forever' as const }),
    });
    const body = JSON.stringify(input);
    const holder = step.key === null ? undefined : this.keys.get(step.key);
    if (holder) {
      const outcome = await this.core.createTask(input).catch((error: unknown) => error);
      if (holder.body === body) expect(outcome).toMatchObject({ task_id: holder.id });
      else expect(outcome).toMatchObject({ code: 'IDEMPOTENCY_MISMATCH' });
      return;
    }
    const task = await this.core.createTask(input);
    if (step.key !== null) this.keys.set(step.key, { body, id: task.task_id });
    this.model.create({
      id: task.task_id,
      order: this.created++,
      path: step.path,
      rank: RANKS[step.priority],
      exclusive: step.exclusive,
      tags: step.tags,
      dependsOn: depends_on,
      runsAnyway: step.runsAnyway,
      maxAttempts: step.maxAttempts,
      timeoutMs: step.timeout * 1000,
      key: step.key,
      runAt: this.model.now + step.delay * 1000,
    });
    expect(task.status).toBe(this.model.get(task.task_id).status);
  }

  async acquire(step: Extract<Step, { do: 'acquire' }>): Promise<void> {
    const call = anAcquire({
      ...(step.paths.length === 0 ? { work_path: undefined } : { work_paths: step.paths }),
      subtree: step.subtree,
      worker_id: step.worker,
      limit: step.limit,
      lease_seconds: step.lease,
      acquire_id: `${this.leases.length}-${step.worker}`,
      ...(step.tags === null ? {} : { tags_any: step.tags }),
    });
    const answer = await this.core.acquireTasks(call);
    const wants = (task: ModelTask): boolean =>
      (step.paths.length === 0 ||
        step.paths.some((one) => one === task.path || (step.subtree && isAtOrBelow(task.path, one)))) &&
      (step.tags === null || step.tags.some((tag) => task.tags.includes(tag)));
    for (const task of answer.tasks) {
      const model = this.model.get(task.task_id);
      expect(wants(model), 'a task that was not asked for').toBe(true);
      expect(this.model.mayTake(model), 'a task that must not be taken').toBe(true);
      expect(this.model.isBehindExclusive(model), 'a task that overtakes an exclusive one').toBe(false);
      const overtaken = [...this.model.tasks.values()].filter(
        (other) =>
          other.path === model.path &&
          other.status === 'waiting' &&
          wants(other) &&
          comesBefore(other, model) &&
          // Who has waited too long, or an exclusive task and those before it, may go first.
          (other.rank === model.rank || !(this.model.hasAged(model) || this.model.isBehindExclusive(other))),
      );
      expect(overtaken, 'tasks of the path that come before').toEqual([]);
      this.model.acquire(task.task_id, { worker: step.worker, token: task.lease_token, leaseMs: step.lease * 1000 });
      this.leases.push(task);
    }
    if (answer.tasks.length < step.limit) this.expectNothingLeft(wants);
    if (answer.tasks.length > 0 && step.again) {
      const again = await this.core.acquireTasks(call);
      expect(again.tasks.toSorted(byToken)).toEqual(answer.tasks.toSorted(byToken));
    }
  }

  /** Whoever got fewer tasks than asked for could not have had one more: the first of every path is held. */
  expectNothingLeft(wants: (task: ModelTask) => boolean): void {
    const waiting = [...this.model.tasks.values()].filter((task) => task.status === 'waiting' && wants(task));
    for (const task of waiting) {
      const isFirst = !waiting.some(
        (other) => other.path === task.path && comesBefore(other, task) && !this.model.isBehindExclusive(other),
      );
      const isFree = this.model.mayTake(task) && !this.model.isBehindExclusive(task);
      expect(isFirst && isFree ? task : null, 'a task that should have been handed out').toBeNull();
    }
  }

  async withLease(index: number, call: (lease: AcquiredTask) => Promise<void>): Promise<void> {
    if (this.leases.length > 0) await call(this.leases[index % this.leases.length]!);
  }

  async withTask(index: number, call: (task: ModelTask) => Promise<void>): Promise<void> {
    const tasks = [...this.model.tasks.values()];
    if (tasks.length > 0) await call(tasks[index % tasks.length]!);
  }

  async readAll(): Promise<Task[]> {
    return (await this.core.listTasks(listOf({ limit: 500 }))).tasks;
  }

  /** The rows are what the model says, and the invariants hold. */
  async check(): Promise<void> {
    const tasks = await this.readAll();
    expect(tasks).toHaveLength(this.model.tasks.size);
    for (const task of tasks) {
      const { status, attempt, epoch, worker, cancelRequested } = this.model.get(task.task_id);
      expect(pickState(task)).toEqual({ status, attempt, lease_epoch: epoch, worker_id: worker });
      if (status === 'working') expect(task.cancel_requested).toBe(cancelRequested);
      expect(task.lease_epoch).toBeGreaterThanOrEqual(this.epochs.get(task.task_id) ?? 0);
      this.epochs.set(task.task_id, task.lease_epoch);
    }
    expectNoOverlap(tasks);
    expect((await this.core.getStatistics()).tasks).toEqual(this.model.counts());
  }

  /** The history of every task leads to its row, and each end is told once. */
  async checkHistories(): Promise<void> {
    for (const task of await this.readAll()) {
      const { events } = await this.core.listEvents({ task_id: task.task_id, limit: 1000 });
      expect(pickState(events.at(-1)!)).toEqual(pickState(task));
      expectLegalHistory(events);
    }
  }
}

/** How many tasks may work at a time on the limited paths of a crowd. */
const LIMIT = 2;

/** Many callers at once, each with what was known before: what they get depends on the order, what must hold does not. */
class Crowd {
  readonly core: Core;
  readonly opened: OpenedCore;
  readonly leases: AcquiredTask[] = [];
  readonly ids: string[] = [];
  /** Every start of a task; none may be handed out twice. */
  readonly started = new Set<string>();

  constructor(opened: OpenedCore) {
    this.opened = opened;
    this.core = opened.core;
  }

  async call(step: Step): Promise<void> {
    const { core } = this;
    const lease = 'pick' in step && this.leases.length > 0 ? this.leases[step.pick % this.leases.length] : undefined;
    const task_id = 'pick' in step && this.ids.length > 0 ? this.ids[step.pick % this.ids.length] : undefined;
    switch (step.do) {
      case 'create': {
        const depends_on = this.ids.length === 0 ? [] : step.picks.map((index) => this.ids[index % this.ids.length]!);
        const task = await core.createTask(
          CreateTask.parse({
            work_directory: step.path,
            prompt: 'p',
            priority: step.priority,
            exclusive: step.exclusive,
            depends_on,
            max_attempts: step.maxAttempts,
            ...(step.key === null ? {} : { idempotency_key: `${step.key} ${JSON.stringify(step)}` }),
          }),
        );
        this.ids.push(task.task_id);
        return;
      }
      case 'acquire': {
        const where = step.paths.length === 0 ? { work_path: undefined } : { work_paths: step.paths };
        const answer = await core.acquireTasks(
          anAcquire({
            ...where,
            subtree: step.subtree,
            worker_id: step.worker,
            limit: step.limit,
            lease_seconds: step.lease,
          }),
        );
        for (const task of answer.tasks) {
          const start = `${task.task_id} ${task.lease_epoch}`;
          expect(this.started.has(start), 'a start that was handed out twice').toBe(false);
          this.started.add(start);
        }
        this.leases.push(...answer.tasks);
        return;
      }
      case 'heartbeat':
        if (lease) await answerOf(core.heartbeat(heartbeatOf(lease)));
        return;
      case 'complete':
        if (lease) await answerOf(core.completeTask(completionOf(lease)));
        return;
      case 'release':
        if (lease) await answerOf(core.releaseTask(releaseOf(lease)));
        return;
      case 'log':
        if (lease) await answerOf(core.appendLog(logOf(lease, 'line')));
        return;
      case 'fail':
        if (lease)
          await answerOf(
            core.failTask(failureOf(lease, { retryable: step.retryable, retry_after_seconds: step.after ?? 0 })),
          );
        return;
      case 'cancel':
        if (task_id) await answerOf(core.cancelTask(cancelOf({ task_id }, { force: step.force })));
        return;
      case 'retry':
        if (task_id) await answerOf(core.retryTask({ task_id }));
        return;
      case 'path':
        // A limit that is set at the same moment may come after those who have entered.
        return;
      case 'advance':
        this.opened.clock.advance(step.seconds / 10);
        await core.tick();
        return;
    }
  }

  async check({ maxConcurrentTasks }: Policy, limitedPaths: readonly string[]): Promise<void> {
    const { tasks } = await this.core.listTasks(listOf({ limit: 500 }));
    const working = tasks.filter(({ status }) => status === 'working');
    expectNoOverlap(tasks);
    if (maxConcurrentTasks > 0) expect(working.length).toBeLessThanOrEqual(maxConcurrentTasks);
    for (const limited of limitedPaths)
      expect(working.filter((task) => overlap(task.work_directory, limited)).length, limited).toBeLessThanOrEqual(
        LIMIT,
      );
    const counts = (await this.core.getStatistics()).tasks;
    for (const status of TaskStatus.options)
      expect(counts[status], status).toBe(tasks.filter((task) => task.status === status).length);
    for (const task of tasks) {
      const { events } = await this.core.listEvents({ task_id: task.task_id, limit: 1000 });
      expect(pickState(events.at(-1)!)).toEqual(pickState(task));
      expectLegalHistory(events);
    }
  }
}

function byToken(a: AcquiredTask, b: AcquiredTask): number {
  return a.lease_token < b.lease_token ? -1 : 1;
}

function pickState<State extends Pick<Task, 'status' | 'attempt' | 'lease_epoch' | 'worker_id'>>({
  status,
  attempt,
  lease_epoch,
  worker_id,
}: State): Pick<Task, 'status' | 'attempt' | 'lease_epoch' | 'worker_id'> {
  return { status, attempt, lease_epoch, worker_id };
}

function expectNoOverlap(tasks: readonly Task[]): void {
  const working = tasks.filter(({ status }) => status === 'working');
  for (const one of working.filter(({ exclusive }) => exclusive)) {
    const others = working.filter((other) => other !== one && overlap(one.work_directory, other.work_directory));
    expect(others, 'tasks beside an exclusive one').toEqual([]);
  }
}

function expectLegalHistory(events: readonly TaskEvent[]): void {
  let epoch = 0;
  let isOpen = false;
  for (const { type, status, lease_epoch } of events) {
    if (type === 'acquired') {
      expect(isOpen, 'acquired while another held it').toBe(false);
      expect(lease_epoch).toBe(epoch + 1);
    } else expect(lease_epoch).toBe(epoch);
    epoch = lease_epoch;
    isOpen = status === 'working';
  }
  const ends = events.filter(({ status }) => ['completed', 'failed', 'cancelled'].includes(status)).length;
  const retries = events.filter(({ type }) => type === 'retried').length;
  expect(ends - retries).toBeLessThanOrEqual(1);
  expect(events.filter(({ type }) => type === 'completed').length).toBeLessThanOrEqual(1);
}

async function answerOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'ok';
  } catch (error) {
    if (error instanceof DomainError) return error.code;
    throw error;
  }
}

const policies = fc.record({
  maxConcurrentTasks: fc.constantFrom(0, 3),
  priorityAgeingSeconds: fc.constantFrom(0, 60),
});
/** As many runs as the time allows; fast-check prints the seed of one that fails. */
const BOUND = { numRuns: 1_000_000, interruptAfterTimeLimit: 8_000 };

forEachEngine((engine) => {
  test('whatever is called in whatever order, the service does what the model says', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 80 }), policies, async (calls, policy) => {
        const opened = await engine.open({ task: policy });
        try {
          const run = new Run(opened, policy);
          for (const call of calls) {
            await run.step(call);
            await run.check();
          }
          await run.checkHistories();
        } finally {
          await opened.close();
        }
      }),
      BOUND,
    );
  });

  test('whatever is called at the same moment, the invariants hold', { timeout: 120_000 }, async () => {
    const crowds = fc.array(fc.array(steps, { minLength: 1, maxLength: 8 }), { minLength: 5, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        crowds,
        policies,
        fc.subarray([...PATHS], { maxLength: 2 }),
        async (moments, policy, limited) => {
          const opened = await engine.open({ task: policy });
          try {
            for (const path of limited) await opened.core.setPath(aSetting(path, { max_concurrent: LIMIT }));
            const crowd = new Crowd(opened);
            for (const calls of moments) {
              await Promise.all(calls.map((call) => crowd.call(call)));
              await crowd.check(policy, limited);
            }
          } finally {
            await opened.close();
          }
        },
      ),
      BOUND,
    );
  });
});
