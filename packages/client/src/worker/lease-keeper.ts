import type { Client } from '../client.ts';
import { TaskCancelledError, toError, type OrchestratorError } from '../errors.ts';
import type { CancelWatch } from './cancel-watch.ts';
import type { HeldTask } from './held-task.ts';
import type { Report } from './report.ts';
import type { Settler } from './settler.ts';

const PULSE_MS = 500;
/** Of one task, progress is sent no more often. */
const NEWS_MS = 1000;
const HEARTBEATS_MAX = 500;
/** Who works on shorter tasks only needs no stream of cancels. With the pulse, a cancel is heard of within a second. */
const WATCHED_AFTER_MS = 250;

/** One timer for all tasks of a worker: renews leases at a third of their time, sends progress and logs, hears of cancels. */
export class LeaseKeeper {
  readonly #client: Client;
  readonly #held: ReadonlyMap<string, HeldTask>;
  readonly #settler: Settler;
  readonly #watch: CancelWatch;
  readonly #report: Report;
  readonly #wantedSeconds: number | undefined;
  #leaseMs = 0;
  #timer: ReturnType<typeof setInterval> | null = null;
  #isSending = false;

  constructor(options: {
    client: Client;
    held: ReadonlyMap<string, HeldTask>;
    settler: Settler;
    watch: CancelWatch;
    report: Report;
    leaseSeconds: number | undefined;
  }) {
    this.#client = options.client;
    this.#held = options.held;
    this.#settler = options.settler;
    this.#watch = options.watch;
    this.#report = options.report;
    this.#wantedSeconds = options.leaseSeconds;
  }

  /** Begins to keep the tasks held; `newest` has just been acquired. */
  keep(newest: HeldTask): void {
    if (this.#timer) return;
    this.#leaseMs = this.#wantedSeconds === undefined ? grantedMs(newest) : this.#wantedSeconds * 1000;
    this.#timer = setInterval(() => this.#pulse(), Math.min(PULSE_MS, this.#leaseMs / 6));
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#watch.close();
  }

  #pulse(): void {
    if (this.#held.size === 0) return this.stop();
    const now = performance.now();
    const tasks = [...this.#held.values()];
    for (const held of tasks) if (held.logs && !held.isSettling) void this.#settler.flushLogs(held);
    if (tasks.some((held) => now - held.acquiredAt >= WATCHED_AFTER_MS)) {
      this.#watch.open(() => void this.#renew([...this.#held.values()]));
    }
    const leastMs = (held: HeldTask) => (held.hasNews ? Math.min(NEWS_MS, this.#leaseMs / 3) : this.#leaseMs / 3);
    const due = tasks.filter((held) => now - held.renewedAt >= leastMs(held));
    if (due.length > 0 && !this.#isSending) void this.#renew(due);
  }

  async #renew(tasks: readonly HeldTask[]): Promise<void> {
    this.#isSending = true;
    for (let from = 0; from < tasks.length; from += HEARTBEATS_MAX)
      await this.#send(tasks.slice(from, from + HEARTBEATS_MAX));
    this.#isSending = false;
  }

  async #send(all: readonly HeldTask[]): Promise<void> {
    const tasks = all.filter((held) => !held.isLost);
    if (tasks.length === 0) return;
    const sentAt = performance.now();
    const news = tasks.map((held) => held.takeProgress());
    const heartbeats = tasks.map(({ task }, index) => ({
      task_id: task.task_id,
      lease_token: task.lease_token,
      lease_seconds: this.#wantedSeconds,
      progress: news[index] ?? undefined,
    }));
    try {
      // An answer that takes longer than a heartbeat's interval is one to ask for again.
      const { results } = await this.#client.tasks.heartbeatMany(
        { heartbeats },
        { timeoutSeconds: Math.max(1, this.#leaseMs / 3000) },
      );
      for (const [index, held] of tasks.entries()) {
        const { value, error } = results[index] ?? {};
        if (error) this.#refuse(held, toError(error));
        if (!value) continue;
        held.renewedAt = sentAt;
        if (value.cancel_requested) held.abort(new TaskCancelledError(held.task.task_id, value.cancel_reason));
      }
    } catch (error) {
      for (const [index, held] of tasks.entries()) held.putBackProgress(news[index] ?? null);
      this.#report(error, 'heartbeat');
    }
  }

  #refuse(held: HeldTask, error: OrchestratorError): void {
    if (error.status === 404 || error.status === 409) held.lose(error);
    else this.#report(error, 'heartbeat', held.task);
  }
}

/** How long the server granted the lease for; both times are of its clock. */
function grantedMs({ task }: HeldTask): number {
  const ms = Date.parse(task.lease_expires_at ?? '') - Date.parse(task.updated_at);
  return ms > 0 ? ms : 30_000;
}
