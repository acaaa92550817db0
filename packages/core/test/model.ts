import type { Task } from '@task-orchestrator/contract';

/** The rules of the specification (section 2, 3.2, 3.4 and 3.7) in their plainest form, one task at a time. */

export interface ModelTask {
  readonly id: string;
  readonly order: number;
  readonly path: string;
  readonly rank: number;
  readonly exclusive: boolean;
  readonly tags: readonly string[];
  readonly dependsOn: readonly string[];
  readonly runsAnyway: boolean;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly key: string | null;
  status: Task['status'];
  attempt: number;
  epoch: number;
  runAt: number;
  startedAt: number;
  worker: string | null;
  token: string | null;
  /** How the lease of `token` stands: only `expired` leaves the door open for a late completion. */
  lease: 'live' | 'expired' | 'completed' | 'failed' | 'released' | 'revoked' | null;
  leaseMs: number;
  leaseEnds: number;
  cancelRequested: boolean;
}

type Answer = 'ok' | 'LEASE_LOST' | 'STATUS_CONFLICT';

const FINISHED: readonly Task['status'][] = ['completed', 'failed', 'cancelled'];
export const isFinished = ({ status }: ModelTask): boolean => FINISHED.includes(status);

export class Model {
  readonly tasks = new Map<string, ModelTask>();
  readonly limits = new Map<string, number>();
  readonly paused = new Set<string>();
  readonly maxConcurrent: number;
  readonly ageingMs: number;
  now: number;

  constructor(now: number, policy: { maxConcurrent: number; ageingMs: number }) {
    this.now = now;
    this.maxConcurrent = policy.maxConcurrent;
    this.ageingMs = policy.ageingMs;
  }

  get(id: string): ModelTask {
    return this.tasks.get(id)!;
  }

  /** Adds a task as the service answered it, and says which status it must have. */
  create(
    task: Omit<
      ModelTask,
      | 'status'
      | 'attempt'
      | 'epoch'
      | 'startedAt'
      | 'worker'
      | 'token'
      | 'lease'
      | 'leaseMs'
      | 'leaseEnds'
      | 'cancelRequested'
    >,
  ): void {
    const added: ModelTask = {
      ...task,
      status: 'blocked',
      attempt: 0,
      epoch: 0,
      startedAt: 0,
      worker: null,
      token: null,
      lease: null,
      leaseMs: 0,
      leaseEnds: 0,
      cancelRequested: false,
    };
    this.tasks.set(task.id, added);
    this.#settle(added);
  }

  /** The tasks that may be handed out for the given paths and tags, by the state alone. */
  mayTake(task: ModelTask): boolean {
    if (task.status !== 'waiting') return false;
    for (const path of this.paused) if (isAtOrBelow(task.path, path)) return false;
    const working = [...this.tasks.values()].filter(({ status }) => status === 'working');
    if (this.maxConcurrent > 0 && working.length >= this.maxConcurrent) return false;
    for (const other of working)
      if ((other.exclusive || task.exclusive) && overlap(other.path, task.path)) return false;
    for (const [path, limit] of this.limits) {
      if (overlap(path, task.path) && working.filter((other) => overlap(path, other.path)).length >= limit)
        return false;
    }
    return true;
  }

  /** Whether an exclusive task that came first and overlaps is waiting still; a paused one holds nobody up. */
  isBehindExclusive(task: ModelTask): boolean {
    return [...this.tasks.values()].some(
      (other) =>
        other !== task &&
        other.exclusive &&
        other.status === 'waiting' &&
        overlap(other.path, task.path) &&
        this.standsBefore(other, task) &&
        ![...this.paused].some((path) => isAtOrBelow(other.path, path)),
    );
  }

  hasAged({ runAt }: ModelTask): boolean {
    return this.ageingMs > 0 && runAt <= this.now - this.ageingMs;
  }

  /** In the line for exclusive tasks whoever has waited too long stands before the others, the longest first. */
  standsBefore(a: ModelTask, b: ModelTask): boolean {
    if (this.hasAged(a) !== this.hasAged(b)) return this.hasAged(a);
    return comesBefore(this.hasAged(a) ? { ...a, rank: b.rank } : a, b);
  }

  acquire(id: string, by: { worker: string; token: string; leaseMs: number }): void {
    const task = this.get(id);
    const leaseMs = Math.min(by.leaseMs, task.timeoutMs);
    Object.assign(task, {
      status: 'working',
      attempt: task.attempt + 1,
      epoch: task.epoch + 1,
      startedAt: this.now,
      worker: by.worker,
      token: by.token,
      lease: 'live',
      leaseMs,
      leaseEnds: this.now + leaseMs,
    });
  }

  heartbeat(id: string, token: string): Answer {
    const task = this.get(id);
    if (!this.#isHolder(task, token) || this.now >= task.startedAt + task.timeoutMs) return 'LEASE_LOST';
    task.leaseEnds = Math.min(this.now + task.leaseMs, task.startedAt + task.timeoutMs);
    return 'ok';
  }

  complete(id: string, token: string): Answer {
    const task = this.get(id);
    if (task.token !== token) return 'LEASE_LOST';
    if (task.lease === 'completed') return 'ok';
    if (!this.#isHolder(task, token) && (task.lease !== 'expired' || isFinished(task))) return 'LEASE_LOST';
    task.status = 'completed';
    task.lease = 'completed';
    task.cancelRequested = false;
    this.#settleDependants(task);
    return 'ok';
  }

  /** @param runAt when the service says that it comes back */
  fail(id: string, token: string, retryable: boolean, runAt: number): Answer {
    const task = this.get(id);
    if (task.token === token && task.lease === 'failed') return 'ok';
    if (!this.#isHolder(task, token)) return 'LEASE_LOST';
    this.#endAttempt(task, 'failed', retryable, runAt);
    return 'ok';
  }

  release(id: string, token: string): Answer {
    const task = this.get(id);
    if (task.token === token && task.lease === 'released') return 'ok';
    if (!this.#isHolder(task, token)) return 'LEASE_LOST';
    task.lease = 'released';
    if (task.cancelRequested) this.#finish(task, 'cancelled');
    else Object.assign(task, { status: 'waiting', attempt: task.attempt - 1 });
    return 'ok';
  }

  cancel(id: string, force: boolean): Answer {
    const task = this.get(id);
    if (task.status === 'cancelled') return 'ok';
    if (isFinished(task)) return 'STATUS_CONFLICT';
    if (task.status === 'working' && !force) {
      task.cancelRequested = true;
      return 'ok';
    }
    task.lease = 'revoked';
    this.#finish(task, 'cancelled');
    return 'ok';
  }

  retry(id: string): Answer {
    const task = this.get(id);
    if (task.status !== 'failed' && task.status !== 'cancelled') return 'STATUS_CONFLICT';
    const isMet = this.#judge(task) === 'met';
    Object.assign(task, {
      status: isMet ? 'waiting' : 'blocked',
      attempt: 0,
      runAt: this.now,
      lease: 'revoked',
      cancelRequested: false,
    });
    return 'ok';
  }

  /** @param runAtOf when the service says that a task whose attempt took too long comes back */
  tick(runAtOf: (id: string) => number): void {
    for (const task of this.tasks.values()) {
      if (task.status !== 'working' || task.leaseEnds > this.now) continue;
      const isTimeout = this.now >= task.startedAt + task.timeoutMs;
      if (isTimeout || task.cancelRequested || task.attempt >= task.maxAttempts)
        this.#endAttempt(task, 'expired', true, runAtOf(task.id));
      else Object.assign(task, { status: 'waiting', lease: 'expired' });
    }
    for (const task of this.tasks.values())
      if (task.status === 'scheduled' && task.runAt <= this.now) task.status = 'waiting';
  }

  counts(): Record<Task['status'], number> {
    const counts = { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const { status } of this.tasks.values()) counts[status]++;
    return counts;
  }

  #isHolder(task: ModelTask, token: string): boolean {
    return task.status === 'working' && task.token === token && task.lease === 'live';
  }

  #endAttempt(task: ModelTask, lease: 'failed' | 'expired', retryable: boolean, runAt: number): void {
    task.lease = lease;
    if (task.cancelRequested) this.#finish(task, 'cancelled');
    else if (retryable && task.attempt < task.maxAttempts) {
      task.runAt = runAt;
      task.status = runAt > this.now ? 'scheduled' : 'waiting';
    } else this.#finish(task, 'failed');
  }

  #finish(task: ModelTask, status: 'failed' | 'cancelled'): void {
    task.status = status;
    this.#settleDependants(task);
  }

  #settleDependants(ended: ModelTask): void {
    for (const task of this.tasks.values()) if (task.dependsOn.includes(ended.id)) this.#settle(task);
  }

  #settle(task: ModelTask): void {
    if (task.status !== 'blocked') return;
    const verdict = this.#judge(task);
    if (verdict === 'met') task.status = task.runAt > this.now ? 'scheduled' : 'waiting';
    if (verdict === 'failed') this.#finish(task, 'cancelled');
  }

  #judge({ dependsOn, runsAnyway }: ModelTask): 'met' | 'open' | 'failed' {
    const needed = dependsOn.map((id) => this.get(id));
    if (!runsAnyway && needed.some(({ status }) => status === 'failed' || status === 'cancelled')) return 'failed';
    return needed.every(isFinished) ? 'met' : 'open';
  }
}

/** Order within what a worker may take: priority, then `run_at`, then creation. */
export function comesBefore(a: ModelTask, b: ModelTask): boolean {
  if (a.rank !== b.rank) return a.rank > b.rank;
  return a.runAt !== b.runAt ? a.runAt < b.runAt : a.order < b.order;
}

export function overlap(a: string, b: string): boolean {
  return isAtOrBelow(a, b) || isAtOrBelow(b, a);
}

export function isAtOrBelow(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(ancestor === '/' ? '/' : `${ancestor}/`);
}
