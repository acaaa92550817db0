import type { EmptyReason } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import type { IsLeftOut, Turn } from '../dispatch/path-turns.ts';
import { selectorKey, selectsOnePath, type Selector } from '../dispatch/selector.ts';
import { leaseToken } from '../domain/lease-token.ts';
import { isInScope, type Scope } from '../domain/scope.ts';
import { findHeads } from './acquire-heads.ts';
import { passBy, type After, type Look } from './look.ts';
import { PathGuard, type Obstacle } from './path-guard.ts';
import { TASK_COLUMNS, type TaskRow } from './task-row.ts';

export interface AcquireCall {
  readonly selector: Selector;
  readonly worker_id: string;
  readonly limit: number;
  /** Seconds, or as long as an attempt may take: for callers that do not heartbeat. */
  readonly lease_seconds: number | 'timeout';
  readonly acquire_id: string | null;
  /** Of the caller; the selector is within it already. */
  readonly scope?: Scope;
}

export interface Acquired {
  readonly tasks: readonly TaskRow[];
  /** Why there is none. */
  readonly reason: EmptyReason | null;
}

/** Uses the index tasks_acquire_id. */
export const tasksByAcquireId = defineStatement<[ids: string], TaskRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where('status', '=', sql.lit('working'))
    .where('acquire_id', 'is not', null)
    .where(({ ref }) => dialect.inStrings(ref('acquire_id').$castTo<string>(), arg(0)))
    .orderBy('seq'),
);

export const countWorking = defineStatement<[], { working: number }>((kysely) =>
  kysely
    .selectFrom('tasks')
    .select(({ fn }) => fn.countAll<number>().as('working'))
    .where('status', '=', sql.lit('working')),
);

/** Hands out the next ready tasks under new leases. */
export const acquireTasks = defineVerb<AcquireCall, Acquired>({
  stage: 2,
  async run(commit, calls) {
    const guard = await PathGuard.load(commit);
    // Under the lock of the guard: a first call of the same `acquire_id` may just have been served by another server.
    const [replays, free] = await Promise.all([loadReplays(commit, calls), freeCapacity(commit)]);
    const originals = findOriginals(calls);
    const fresh = calls.filter((call) => !replays.has(call) && originals.get(call) === call);
    const taken = new Map<AcquireCall, Acquired>();
    let capacity = free;
    // Calls that want the same are served from one look-up, in the order in which they came.
    const groups = Map.groupBy(fresh, ({ selector }) => selectorKey(selector));
    const areApart = fresh.every(({ selector }) => selectsOnePath(selector));
    for (const group of groups.values()) {
      const want = Math.min(sum(group.map(({ limit }) => limit)), capacity);
      const found =
        want > 0 ? await takeTasks(commit, guard, group[0]!.selector, want) : { tasks: [], reason: 'limit' as const };
      capacity -= found.tasks.length;
      let start = 0;
      for (const call of group) {
        const tasks = found.tasks.slice(start, (start += call.limit));
        for (const task of tasks) startAttempt(commit, task, call);
        taken.set(call, { tasks, reason: tasks.length > 0 ? null : capacity <= 0 ? 'limit' : found.reason });
      }
      if (areApart) continue;
      // The next group may look where this one has taken from.
      await commit.flush();
      guard.markWritten();
    }
    return calls.map((call) => replays.get(call) ?? taken.get(originals.get(call)!)!);
  },
});

/** For each call the first one of this commit that it repeats: itself, unless its `acquire_id` came twice. */
function findOriginals(calls: readonly AcquireCall[]): Map<AcquireCall, AcquireCall> {
  const byId = new Map<string, AcquireCall>();
  return new Map(
    calls.map((call) => {
      if (call.acquire_id === null) return [call, call];
      const key = JSON.stringify([call.worker_id, call.acquire_id, call.scope]);
      const original = byId.get(key) ?? call;
      byId.set(key, original);
      return [call, original];
    }),
  );
}

async function loadReplays(commit: Commit, calls: readonly AcquireCall[]): Promise<Map<AcquireCall, Acquired>> {
  const replays = new Map<AcquireCall, Acquired>();
  const ids = calls.flatMap(({ acquire_id }) => acquire_id ?? []);
  if (ids.length === 0) return replays;
  const rows = await commit.tx.all(tasksByAcquireId, [JSON.stringify(ids)]);
  if (rows.length === 0) return replays;
  for (const call of calls) {
    const tasks = rows.filter(
      (row) =>
        row.acquire_id === call.acquire_id &&
        row.worker_id === call.worker_id &&
        isInScope(row.work_directory, call.scope),
    );
    if (tasks.length > 0) replays.set(call, { tasks, reason: null });
  }
  return replays;
}

async function freeCapacity(commit: Commit): Promise<number> {
  const { maxConcurrentTasks } = commit.policy;
  if (maxConcurrentTasks === 0) return Infinity;
  const [row] = await commit.tx.all(countWorking, []);
  return Math.max(0, maxConcurrentTasks - Number(row?.working ?? 0));
}

/** Turn by turn until there is enough, or nothing more that may be taken. */
async function takeTasks(
  commit: Commit,
  guard: PathGuard,
  selector: Selector,
  want: number,
): Promise<{ tasks: TaskRow[]; reason: EmptyReason }> {
  const { turns, now } = commit;
  const tasks: TaskRow[] = [];
  const heldPaths = new Set<string>();
  const heldFlows = new Set<string>();
  const reasons = new Set<EmptyReason>();
  const admittedOf: [turn: Turn, rows: readonly TaskRow[]][] = [];
  const lastTaken = new Map<string, After>();
  const isLeftOut: IsLeftOut = (path, rank, isAged) => {
    if (heldPaths.has(path)) return true;
    if (heldFlows.size === 0) return false;
    return heldFlows.has(`${rank} ${path}`) || (isAged && heldFlows.has(`aged ${rank} ${path}`));
  };
  while (tasks.length < want) {
    const dealt = turns.deal(selector, want - tasks.length, now, isLeftOut);
    if (dealt.length === 0) break;
    for (const [turn, rows] of admittedOf.splice(0)) {
      const flow = flowOf(turn);
      lastTaken.set(flow, passBy(rows, lastTaken.get(flow)));
    }
    // Mostly the first look is enough, and nothing was taken before it.
    const looks: readonly Look[] =
      lastTaken.size === 0 ? dealt : dealt.map((turn) => ({ ...turn, after: lastTaken.get(flowOf(turn)) }));
    const heads = await findHeads(commit.tx, looks, selector.tagsAny);
    for (let index = 0; index < dealt.length; index++) {
      const turn = dealt[index]!;
      const { rows: found, band, hasLater } = heads[index]!;
      const knowsHead = selector.tagsAny === null;
      if (turn.isAged && found[0] && !turns.isAged(found[0].run_at, now)) {
        // What was old is gone, or has other tags.
        if (knowsHead) commit.moveHead(turn, { runAt: found[0].run_at, band, hasLater });
        else heldFlows.add(`aged ${flowOf(turn)}`);
        continue;
      }
      const isFree = !found.some((head) => guard.mayHoldBack(head));
      const { admitted, obstacle } = isFree ? admitAll(guard, found) : await admitHeads(guard, found);
      tasks.push(...admitted);
      if (admitted.length > 0) admittedOf.push([turn, admitted]);
      if (obstacle) reasons.add(obstacle === 'in_line' ? 'path_busy' : obstacle);
      // The exclusive task that keeps the others off may be the next of this very path.
      if (obstacle === 'in_line') heldFlows.add(flowOf(turn));
      else if (obstacle) heldPaths.add(turn.path);
      else if (knowsHead)
        commit.moveHead(turn, found.length === turn.quota ? { runAt: found.at(-1)!.run_at, band, hasLater } : null);
      else if (found.length < turn.quota) heldFlows.add(flowOf(turn));
    }
  }
  return { tasks, reason: explain(reasons) };
}

function flowOf({ path, rank }: Turn): string {
  return `${rank} ${path}`;
}

interface Admission {
  readonly admitted: readonly TaskRow[];
  readonly obstacle: Obstacle | null;
}

/** Mostly nothing is there that could hold a task back. */
function admitAll(guard: PathGuard, heads: readonly TaskRow[]): Admission {
  for (const head of heads) guard.admit(head);
  return { admitted: heads, obstacle: null };
}

/** Tasks of a path in their order, up to the first that something keeps off: those behind it must not overtake. */
async function admitHeads(guard: PathGuard, heads: readonly TaskRow[]): Promise<Admission> {
  const admitted: TaskRow[] = [];
  for (const head of heads) {
    const obstacle = guard.mayHoldBack(head) ? await guard.findObstacle(head) : null;
    if (obstacle) return { admitted, obstacle };
    guard.admit(head);
    admitted.push(head);
  }
  return { admitted, obstacle: null };
}

/** The reason that a caller can do least about comes last. */
function explain(reasons: ReadonlySet<EmptyReason>): EmptyReason {
  if (reasons.has('path_busy')) return 'path_busy';
  return reasons.has('paused') ? 'paused' : 'empty';
}

function startAttempt(commit: Commit, task: TaskRow, call: AcquireCall): void {
  const lease_seconds = Math.min(
    call.lease_seconds === 'timeout' ? task.timeout_seconds : call.lease_seconds,
    task.timeout_seconds,
  );
  commit.change('acquired', task, {
    status: 'working',
    attempt: task.attempt + 1,
    worker_id: call.worker_id,
    acquire_id: call.acquire_id,
    lease_token: leaseToken(),
    lease_epoch: task.lease_epoch + 1,
    lease_state: 'live',
    lease_seconds,
    lease_expires_at: commit.now + lease_seconds * 1000,
    progress: null,
    started_at: commit.now,
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
