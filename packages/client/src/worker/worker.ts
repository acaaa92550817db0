import type { Client } from '../client.ts';
import { endOfTurn } from '../end-of-turn.ts';
import {
  ForbiddenError,
  TaskCancelledError,
  toError,
  UnauthorizedError,
  ValidationError,
  WorkerStoppedError,
} from '../errors.ts';
import { onAbort } from '../on-abort.ts';
import { backoffMs, delay } from '../retry.ts';
import { timeOrderedId } from '../time-ordered-id.ts';
import type { Tracing } from '../tracing.ts';
import type { AcquiredTask, TaskEvent } from '../wire.ts';
import { CancelWatch } from './cancel-watch.ts';
import { PATIENCE } from './deliver.ts';
import { HeldTask } from './held-task.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { toReport, type Report } from './report.ts';
import { Settler, type Outcome } from './settler.ts';
import { checkOptions, defaultWorkerId, toAsk, toFilter, type Handler, type WorkerOptions } from './worker-options.ts';

/** Handlers that were aborted get this long to end. */
const GRACE_MS = 5000;
const ACQUIRE_MAX = 500;
/** How long a stopping worker looks for tasks that it does not know it has. */
const STRAYS_MS = 3000;

/**
 * Acquires tasks, keeps their leases alive while handlers work on them, and reports what came of them, through
 * cancels, lost leases and restarts of the server.
 */
export class Worker {
  readonly workerId: string;
  readonly #client: Client;
  readonly #handler: Handler;
  readonly #tracing: Tracing | undefined;
  readonly #report: Report;
  readonly #concurrency: number;
  readonly #prefetch: number;
  readonly #drainTimeoutSeconds: number;
  readonly #ask: ReturnType<typeof toAsk>;
  /** By lease token: a task that was lost may come back while its old handler still runs. */
  readonly #held = new Map<string, HeldTask>();
  /** Held, but no handler runs yet. */
  readonly #prefetched: HeldTask[] = [];
  readonly #settler: Settler;
  readonly #keeper: LeaseKeeper;
  /** Aborts in this order when the worker stops: no new tasks; handlers must end; nothing is sent any more. */
  readonly #stopping = new AbortController();
  readonly #hurry = new AbortController();
  readonly #end = new AbortController();
  #hurryTimer: ReturnType<typeof setTimeout> | null = null;
  #handlersRunning = 0;
  /** By calls under way. */
  #asked = 0;
  /** The latest answer brought as many tasks as were asked for. */
  #isBacklogged = false;
  #life: Promise<void> | null = null;
  #onChange: Array<() => void> = [];

  constructor(options: WorkerOptions) {
    checkOptions(options);
    const { client, leaseSeconds } = options;
    this.workerId = options.workerId ?? defaultWorkerId();
    this.#client = client;
    this.#handler = options.handler;
    this.#tracing = options.tracing;
    this.#report = toReport(options.onError);
    this.#concurrency = options.concurrency ?? 1;
    this.#prefetch = options.prefetch ?? 0;
    this.#drainTimeoutSeconds = options.drainTimeoutSeconds ?? 20;
    this.#ask = toAsk(options, this.workerId);
    const report = this.#report;
    const held = this.#held;
    this.#settler = new Settler({ client, report, signal: this.#end.signal });
    const watch = new CancelWatch({
      client,
      report,
      filter: toFilter(this.workerId),
      onEvent: (event) => this.#onEvent(event),
    });
    this.#keeper = new LeaseKeeper({ client, held, settler: this.#settler, watch, report, leaseSeconds });
  }

  /** How many tasks are under a lease of this worker now. */
  get tasksHeld(): number {
    return this.#held.size;
  }

  /**
   * Works until `stop()`; then resolves, once the tasks held are settled or given back.
   * @throws `UnauthorizedError`, `ForbiddenError` or `ValidationError` when the server refuses to hand out tasks. All
   * other trouble is reported to `onError` and outlasted.
   */
  run(): Promise<void> {
    this.#life ??= this.#live();
    return this.#life;
  }

  /**
   * Takes no more tasks, lets the running handlers end for `timeoutSeconds` (default: `drainTimeoutSeconds`), then
   * aborts their signals and gives their tasks back. A second call may shorten the time.
   */
  async stop({
    timeoutSeconds = this.#drainTimeoutSeconds,
  }: { timeoutSeconds?: number | undefined } = {}): Promise<void> {
    this.#stopAcquiring();
    this.#hurryAfter(timeoutSeconds);
    await this.#life?.catch(() => {});
    this.#hurryAfter(Infinity);
  }

  async #live(): Promise<void> {
    try {
      await this.#acquireUntilStopped();
    } finally {
      await this.#drain();
    }
  }

  /** One call after the other for all free places; while there is a backlog, two under way for half of the places each. */
  async #acquireUntilStopped(): Promise<void> {
    const loops = [this.#acquireInTurns(true), this.#acquireInTurns(false)];
    try {
      await Promise.all(loops);
    } finally {
      if (!this.#stopping.signal.aborted) this.#hurryAfter(this.#drainTimeoutSeconds);
      this.#stopAcquiring();
      await Promise.allSettled(loops);
    }
  }

  async #acquireInTurns(isFirst: boolean): Promise<void> {
    const { signal } = this.#stopping;
    // Kept until an answer has come: a repeated call with the same id gets the tasks of a lost answer.
    let acquireId = timeOrderedId();
    let failures = 0;
    let isUnanswered = false;
    while (!signal.aborted) {
      const limit = isFirst || this.#isBacklogged ? this.#mayAskFor() : 0;
      if (limit <= 0) {
        await this.#change(signal);
        // What has ended together is replaced together.
        await endOfTurn();
        continue;
      }
      this.#asked += limit;
      const askedAt = performance.now();
      isUnanswered = true;
      try {
        const answer = await this.#client.tasks.acquire({ ...this.#ask, limit, acquire_id: acquireId }, { signal });
        failures = 0;
        isUnanswered = false;
        // A single handler takes tasks in the order of their hand-out, which two calls could mix up.
        this.#isBacklogged = answer.tasks.length === limit && this.#concurrency > 1;
        acquireId = timeOrderedId();
        this.#take(answer.tasks);
        if (answer.tasks.length === 0) await this.#pause(performance.now() - askedAt, answer.retry_after_seconds);
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof UnauthorizedError || error instanceof ForbiddenError || error instanceof ValidationError)
          throw error;
        this.#report(error, 'acquire');
        await delay(backoffMs(++failures, PATIENCE), signal).catch(() => {});
      } finally {
        this.#asked -= limit;
      }
    }
    if (isUnanswered) await this.#giveBackStrays(acquireId);
  }

  /**
   * A task whose handler has ended leaves its place to the next one while its outcome is on its way, so that both can be
   * in one commit; but while outcomes do not get through, no more tasks are taken than there are places. Of a backlog one
   * call takes half, so that the server works on one half while the other is worked on here.
   */
  #mayAskFor(): number {
    const places = this.#concurrency + this.#prefetch;
    const settling = this.#held.size - this.#handlersRunning - this.#prefetched.length;
    const free = places - this.#held.size + Math.min(settling, places) - this.#asked;
    return Math.min(free, ACQUIRE_MAX, this.#isBacklogged ? Math.ceil(places / 2) : free);
  }

  /** Between two empty answers, when the server gave the first one without waiting. */
  async #pause(waitedMs: number, retryAfterSeconds = 1): Promise<void> {
    const wantedMs = this.#ask.wait_seconds * 1000;
    if (wantedMs > 0 && waitedMs >= wantedMs / 2) return;
    const pauseMs = Math.min(retryAfterSeconds, 1) * 1000 * (0.5 + Math.random() / 2);
    await delay(pauseMs, this.#stopping.signal).catch(() => {});
  }

  #take(tasks: readonly AcquiredTask[]): void {
    const now = performance.now();
    for (const task of tasks) {
      const held = new HeldTask(task, now);
      this.#held.set(task.lease_token, held);
      this.#keeper.keep(held);
      this.#prefetched.push(held);
    }
    this.#startHandlers();
  }

  #startHandlers(): void {
    while (this.#handlersRunning < this.#concurrency && !this.#stopping.signal.aborted) {
      const held = this.#prefetched.shift();
      if (!held) return;
      this.#handlersRunning++;
      void this.#work(held);
    }
  }

  async #work(held: HeldTask): Promise<void> {
    const outcome = await this.#handle(held);
    this.#handlersRunning--;
    this.#startHandlers();
    this.#tellOfChange();
    // What cannot even be read may have been thrown; then the lease runs out.
    await this.#settler.settle(held, outcome).catch((error: unknown) => this.#report(error, 'handle', held.task));
    this.#letGo(held);
  }

  async #handle(held: HeldTask): Promise<Outcome> {
    // While it waited for a handler, it may have been cancelled or lost.
    if (held.abortReason) return { thrown: held.abortReason };
    try {
      const handle = () => this.#handler(held.task, held);
      return { value: await (this.#tracing ? this.#tracing.process(held.task, handle) : handle()) };
    } catch (thrown) {
      return { thrown };
    }
  }

  #letGo(held: HeldTask): void {
    this.#held.delete(held.leaseToken);
    this.#tellOfChange();
  }

  #tellOfChange(): void {
    for (const resolve of this.#onChange.splice(0)) resolve();
  }

  /** Of a task that is cancelled by force, or whose lease ran out, nothing more is wanted; nor if its holder says so himself. */
  #onEvent({ type, task_id, lease_epoch, data }: TaskEvent): void {
    for (const held of this.#held.values()) {
      if (held.task.task_id !== task_id || held.leaseEpoch !== lease_epoch || held.isSettling) continue;
      const reason = typeof data?.['reason'] === 'string' ? data['reason'] : null;
      if (type === 'lease_lost')
        held.lose(toError({ code: 'LEASE_LOST', message: `the lease of task ${task_id} ran out`, details: null }));
      else if (type === 'cancelled') held.lose(new TaskCancelledError(task_id, reason));
      else held.abort(new TaskCancelledError(task_id, reason));
    }
  }

  #stopAcquiring(): void {
    this.#stopping.abort(new WorkerStoppedError());
  }

  #hurryAfter(seconds: number): void {
    if (this.#hurryTimer) clearTimeout(this.#hurryTimer);
    this.#hurryTimer = null;
    if (Number.isFinite(seconds)) this.#hurryTimer = setTimeout(() => this.#hurry.abort(), seconds * 1000);
  }

  async #drain(): Promise<void> {
    for (const held of this.#prefetched.splice(0)) void this.#giveBack(held);
    await this.#untilIdle(this.#hurry.signal);
    const grace = new AbortController();
    const graceTimer = setTimeout(() => grace.abort(), this.#held.size > 0 ? GRACE_MS : 0);
    for (const held of this.#held.values()) held.abort(new WorkerStoppedError());
    await this.#untilIdle(grace.signal);
    clearTimeout(graceTimer);
    // Handlers that do not heed their signal: their tasks are for others now.
    const heedless = [...this.#held.values()].filter((held) => !held.isSettling);
    const endTimer = setTimeout(() => this.#end.abort(new WorkerStoppedError()), GRACE_MS);
    await Promise.all(heedless.map((held) => this.#giveBack(held)));
    await this.#untilIdle(this.#end.signal);
    clearTimeout(endTimer);
    this.#hurryAfter(Infinity);
    this.#keeper.stop();
  }

  async #giveBack(held: HeldTask): Promise<void> {
    await this.#settler.release(held);
    held.lose(new WorkerStoppedError());
    this.#letGo(held);
  }

  /** Tasks that were handed out in the moment in which the worker stopped to wait for them. */
  async #giveBackStrays(acquireId: string): Promise<void> {
    const signal = AbortSignal.timeout(STRAYS_MS);
    try {
      const filter = { worker_id: this.workerId, status: 'working', limit: ACQUIRE_MAX } as const;
      const { tasks } = await this.#client.tasks.list(filter, { signal });
      const known = new Set([...this.#held.values()].map(({ task }) => task.task_id));
      if (tasks.every(({ task_id }) => known.has(task_id))) return;
      const again = { ...this.#ask, wait_seconds: 0, acquire_id: acquireId };
      const strays = await this.#client.tasks.acquire(again, { signal });
      await Promise.all(strays.tasks.map((task) => this.#giveBack(new HeldTask(task, performance.now()))));
    } catch (error) {
      if (!signal.aborted) this.#report(error, 'release');
    }
  }

  async #untilIdle(signal: AbortSignal): Promise<void> {
    while (this.#held.size > 0 && !signal.aborted) await this.#change(signal);
  }

  /** Resolves when a handler ends or a task is let go, or when the signal aborts. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const stopListening = onAbort(signal, resolve);
      this.#onChange.push(() => {
        stopListening();
        resolve();
      });
    });
  }
}
