import type { ServerResponse } from 'node:http';
import type { AcquiredTask } from '../src/index.ts';
import { Refusal, type Procedures } from './fake-server.ts';

interface Claim {
  task_id: string;
  lease_token: string;
}

interface Acquire {
  limit: number;
  wait_seconds: number;
  acquire_id: string;
}

/** Tasks in memory, as far as a worker sees the service. */
export class FakeQueue {
  readonly waiting: AcquiredTask[] = [];
  readonly held = new Map<string, AcquiredTask>();
  readonly ended: Array<{ task_id: string; how: string; [fact: string]: unknown }> = [];
  readonly logs: string[] = [];
  readonly progress: unknown[] = [];
  readonly limits: number[] = [];
  mostHeld = 0;
  leaseSeconds = 30;
  readonly #pollers: Array<() => void> = [];
  readonly #followers = new Set<ServerResponse>();
  #onEnded: Array<() => void> = [];
  #eventId = 0;
  readonly #answers = new Map<string, AcquiredTask[]>();
  /** Leases a task and lets the answer be lost. */
  losesNextAnswer = false;

  add(count: number, fields: Partial<AcquiredTask> = {}): void {
    for (let index = 0; index < count; index++)
      this.waiting.push(aTask({ task_id: `t${this.waiting.length}`, ...fields }));
    for (const poll of this.#pollers.splice(0)) poll();
  }

  /** Resolves when so many tasks have ended. */
  async untilEnded(count: number): Promise<void> {
    while (this.ended.length < count) await new Promise<void>((resolve) => this.#onEnded.push(resolve));
  }

  cancel(taskId: string, reason: string): void {
    const task = this.#findHeld(taskId);
    task.cancel_requested = true;
    task.cancel_reason = reason;
    const event = { type: 'cancel_requested', task_id: taskId, lease_epoch: task.lease_epoch, data: { reason } };
    const id = String(++this.#eventId);
    for (const response of this.#followers)
      response.write(`id: ${id}\ndata: ${JSON.stringify({ event_id: id, ...event })}\n\n`);
  }

  /** Takes a task from its holder, as when the lease has expired. */
  takeAway(taskId: string): void {
    this.held.delete(this.#findHeld(taskId).lease_token);
  }

  readonly follow = (_: unknown, response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': open\n\n');
    this.#followers.add(response);
    response.on('close', () => this.#followers.delete(response));
  };

  readonly procedures: Procedures = {
    'tasks.acquire': async ({ limit, wait_seconds, acquire_id }: Acquire, request) => {
      const answered = this.#answers.get(acquire_id);
      if (answered) return { tasks: answered };
      if (this.waiting.length === 0 && wait_seconds > 0) {
        await new Promise<void>((resolve) => {
          this.#pollers.push(resolve);
          request.socket.once('close', resolve);
          setTimeout(resolve, wait_seconds * 1000).unref();
        });
        if (request.socket.destroyed) return { tasks: [] };
      }
      this.limits.push(limit);
      const tasks = this.waiting.splice(0, limit).map((task) => this.#lease(task));
      if (this.losesNextAnswer) {
        this.losesNextAnswer = false;
        this.#answers.set(acquire_id, tasks);
        return new Promise(() => {});
      }
      return { tasks };
    },
    'tasks.heartbeatMany': ({ heartbeats }: { heartbeats: Array<Claim & { progress?: unknown }> }) => ({
      results: heartbeats.map(({ task_id, lease_token, progress }) => {
        const task = this.held.get(lease_token);
        if (progress) this.progress.push(progress);
        if (!task) return { task_id, value: null, error: leaseLost(task_id) };
        const { cancel_requested, cancel_reason } = task;
        return {
          task_id,
          value: { lease_expires_at: expiry(this.leaseSeconds), cancel_requested, cancel_reason },
          error: null,
        };
      }),
    }),
    'tasks.completeMany': ({ completions }: { completions: Array<Claim & { result: unknown }> }) => ({
      // As with `refusals_only`, which workers always ask for.
      results: completions.flatMap(({ task_id, lease_token, result }, index) => {
        const error = this.#end(task_id, lease_token, { how: 'completed', result });
        return error ? [{ index, task_id, value: null, error }] : [];
      }),
    }),
    'tasks.fail': ({ task_id, lease_token, ...facts }: Claim) =>
      this.#endOrRefuse(task_id, lease_token, { how: 'failed', ...facts }),
    'tasks.release': ({ task_id, lease_token }: Claim) => this.#endOrRefuse(task_id, lease_token, { how: 'released' }),
    'tasks.appendLog': ({ entries }: { entries: Array<{ text: string }> }) => {
      this.logs.push(...entries.map(({ text }) => text));
      return { appended: entries.length, truncated: false };
    },
    'tasks.list': () => ({ tasks: [...this.held.values()], total: this.held.size, next_cursor: null }),
  };

  #lease(task: AcquiredTask): AcquiredTask {
    const lease_epoch = task.lease_epoch + 1;
    const leased = {
      ...task,
      lease_epoch,
      lease_token: `${task.task_id}:${lease_epoch}`,
      lease_expires_at: expiry(this.leaseSeconds),
      updated_at: expiry(0),
    };
    this.held.set(leased.lease_token, leased);
    this.mostHeld = Math.max(this.mostHeld, this.held.size);
    return leased;
  }

  #findHeld(taskId: string): AcquiredTask {
    const task = [...this.held.values()].find(({ task_id }) => task_id === taskId);
    if (!task) throw new Error(`${taskId} is not held`);
    return task;
  }

  #endOrRefuse(taskId: string, leaseToken: string, facts: { how: string }): unknown {
    if (this.#end(taskId, leaseToken, facts)) throw new Refusal('LEASE_LOST', 409);
    return {};
  }

  #end(task_id: string, leaseToken: string, facts: { how: string; [fact: string]: unknown }) {
    if (!this.held.delete(leaseToken)) return leaseLost(task_id);
    this.ended.push({ task_id, ...facts });
    for (const resolve of this.#onEnded.splice(0)) resolve();
    return null;
  }
}

export function aTask(fields: Partial<AcquiredTask> = {}): AcquiredTask {
  const now = expiry(0);
  return {
    task_id: 't',
    work_directory: '/srv/repo',
    prompt: 'do it',
    priority: 'medium',
    tags: [],
    metadata: {},
    status: 'working',
    attempt: 1,
    max_attempts: 4,
    timeout_seconds: 3600,
    exclusive: false,
    depends_on: [],
    on_dependency_failure: 'cancel',
    idempotency_key: null,
    run_at: now,
    worker_id: 'w',
    lease_epoch: 0,
    lease_expires_at: now,
    cancel_requested: false,
    cancel_reason: null,
    progress: null,
    result: null,
    error: null,
    created_at: now,
    updated_at: now,
    started_at: now,
    finished_at: null,
    lease_token: '',
    ...fields,
  };
}

function expiry(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString();
}

function leaseLost(taskId: string) {
  return { code: 'LEASE_LOST', message: `task ${taskId} has another holder`, details: null };
}
