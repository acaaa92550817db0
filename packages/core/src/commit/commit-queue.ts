import type { CoreTracer, TracedCaller } from '../core-tracer.ts';
import type { Engine, Transaction } from '../db/engine.ts';
import { describeOutage, isConflict, isOutage, isUncertain } from '../db/outage.ts';
import { DomainError } from '../domain-error.ts';
import { Commit, type CommitSurroundings } from './commit.ts';

/**
 * Does one kind of write for many callers at once. Answers one outcome for each item, in order: a value, or
 * the refusal of that item alone.
 */
export interface Verb<Item, Result> {
  /** Verbs of a commit run in this order: what gives back, what brings in, what hands out. */
  readonly stage: 0 | 1 | 2;
  readonly run: (commit: Commit, items: readonly Item[]) => Promise<readonly (Result | DomainError)[]>;
}

export function defineVerb<Item, Result>(verb: Verb<Item, Result>): Verb<Item, Result> {
  return verb;
}

/** Commits are refused, all or some: a nearly full disk has room for small ones. Monotonic milliseconds. */
export interface Outage {
  /** Of the latest commit that was refused. */
  readonly error: unknown;
  readonly since: number;
  readonly latest: number;
}

interface Call {
  readonly verb: Verb<unknown, unknown>;
  readonly items: readonly unknown[];
  readonly caller: TracedCaller | undefined;
  /** With an outcome for each item. */
  readonly resolve: (outcomes: readonly unknown[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Items of a commit, unless a single call has more. */
const MAX_ITEMS = 1_000;
const NOTHING_CHANGED = 'the database cannot take writes right now; nothing was changed';
const UNCERTAIN =
  'the database was lost during the write, which may have happened: send the same again, with the same keys and tokens';
/** An outage is over when a commit goes through and none was refused for this long. */
const CALM_MS = 2_000;
/** A commit that met another server's on its way is tried again. */
const MAX_TRIES = 10;

/**
 * Collects concurrent writes into one durable transaction. An idle queue commits at the end of the current turn
 * of the event loop; while a commit is under way, the next one fills. Callers hear nothing before their commit, and
 * pass on what they hear through `durably`.
 */
export class CommitQueue {
  /** Null while commits go through. */
  outage: Outage | null = null;
  readonly #engine: Engine;
  readonly #surroundings: CommitSurroundings;
  readonly #onCommit: (commit: Commit, calls: number, seconds: number) => void;
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #onOutage: (outage: Outage, isOver: boolean) => void;
  readonly #tracer: CoreTracer | undefined;
  #pending: Call[] = [];
  #flushing = 0;
  #isScheduled = false;
  /** A commit on its way to the disk, whose callers have been answered. */
  #unflushed: PromiseWithResolvers<void> | null = null;
  /** Commits that had been answered when their flush failed. */
  #failedFlushes = 0;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: {
    engine: Engine;
    surroundings: CommitSurroundings;
    onCommit: (commit: Commit, calls: number, seconds: number) => void;
    onError: (error: unknown, doing: string) => void;
    /** At the beginning and at the end of an outage. */
    onOutage: (outage: Outage, isOver: boolean) => void;
    tracer?: CoreTracer | undefined;
  }) {
    this.#engine = options.engine;
    this.#surroundings = options.surroundings;
    this.#onCommit = options.onCommit;
    this.#onError = options.onError;
    this.#onOutage = options.onOutage;
    this.#tracer = options.tracer;
  }

  /** Resolves after the commit that holds the write: it may be on its way to the disk still. */
  run<Item, Result>(verb: Verb<Item, Result>, item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#add(verb, [item], {
        resolve: ([outcome]) => (outcome instanceof DomainError ? reject(outcome) : resolve(outcome!)),
        reject,
      });
    });
  }

  /** The same for many writes of one caller, in one commit; a refusal is the outcome of its item alone. */
  runEach<Item, Result>(verb: Verb<Item, Result>, items: readonly Item[]): Promise<readonly (Result | DomainError)[]> {
    return new Promise((resolve, reject) => this.#add(verb, items, { resolve, reject }));
  }

  #add<Item, Result>(
    verb: Verb<Item, Result>,
    items: readonly Item[],
    settle: { resolve: (outcomes: readonly (Result | DomainError)[]) => void; reject: (error: unknown) => void },
  ): void {
    // The queue hands items to the verb they came with, and outcomes to the caller of those items.
    this.#pending.push({ verb, items, caller: this.#tracer?.caller(), ...settle } as Call);
    this.#schedule();
  }

  /**
   * Settles as `result` does, once what that may have seen is durable; `prepare` makes an answer of it meanwhile.
   * @throws DomainError UNAVAILABLE when the disk has not taken a commit meanwhile, whatever `result` has come to: what it
   * tells may be of that one
   */
  async durably<Result, Answer>(result: Promise<Result>, prepare: (result: Result) => Answer): Promise<Answer> {
    const flushed = this.watchFlushes();
    try {
      return prepare(await result);
    } finally {
      await flushed();
    }
  }

  /**
   * What comes back resolves once nothing that has been committed is on its way to the disk any more, and is refused as
   * `durably` when the disk has not taken a commit since the watch began.
   */
  watchFlushes(): () => Promise<void> {
    const failedBefore = this.#failedFlushes;
    return async () => {
      await this.#unflushed?.promise;
      if (this.#failedFlushes !== failedBefore) refuseUncertain();
    };
  }

  /** Nothing is pending or under way. */
  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#flushing === 0;
  }

  /** Resolves when that is so. */
  async whenIdle(): Promise<void> {
    if (this.isIdle) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  #schedule(turns = 1): void {
    if (this.#isScheduled || this.#flushing >= this.#engine.maxConcurrentCommits) return;
    this.#isScheduled = true;
    this.#flushAfter(turns);
  }

  /** @param turns of the event loop */
  #flushAfter(turns: number): void {
    setImmediate(() => {
      if (turns > 1) return this.#flushAfter(turns - 1);
      this.#isScheduled = false;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#flushing += 1;
    const calls = this.#pending.splice(0, countFitting(this.#pending));
    await this.#commit(calls);
    this.#flushing -= 1;
    // Who has just been answered may ask for more at once: a turn later it shares the commit of those who wait already.
    if (this.#pending.length > 0) this.#schedule(2);
    else if (this.#flushing === 0) {
      this.#idle?.resolve();
      this.#idle = null;
    }
  }

  async #commit(calls: readonly Call[], triesLeft = MAX_TRIES): Promise<void> {
    const started = performance.now();
    let done: { commit: Commit; outcomes: Outcomes };
    try {
      done = await this.#traced(calls, () => this.#transact(calls));
    } catch (error) {
      if (isConflict(error) && triesLeft > 1) return this.#commit(calls, triesLeft - 1);
      return this.#recover(calls, error);
    }
    if (this.outage !== null) this.#endOutage(this.outage);
    this.#announce(done.commit, calls.length, (performance.now() - started) / 1000);
    if (this.#unflushed === null) return answer(calls, done.outcomes);
    this.#unflushed.resolve();
    this.#unflushed = null;
  }

  /** Answers are put together while the log is flushed, and leave after it. */
  #answerEarly(calls: readonly Call[], outcomes: Outcomes): void {
    this.#unflushed = Promise.withResolvers<void>();
    // Those who wait for it hear of a failure; there may be none.
    this.#unflushed.promise.catch(() => undefined);
    answer(calls, outcomes);
  }

  /** What has been committed must not be done again, whatever those who hear of it do. */
  #announce(commit: Commit, calls: number, seconds: number): void {
    try {
      this.#onCommit(commit, calls, seconds);
    } catch (error) {
      this.#onError(error, 'announcement of a commit');
    }
  }

  #traced<T>(calls: readonly Call[], work: () => Promise<T>): Promise<T> {
    if (this.#tracer === undefined) return work();
    return this.#tracer.commit({ callers: calls.map(({ caller }) => caller) }, work);
  }

  async #transact(calls: readonly Call[]): Promise<{ commit: Commit; outcomes: Outcomes }> {
    const outcomes = new Map<Call, readonly unknown[]>();
    let commit: Commit | undefined;
    const work = async (tx: Transaction): Promise<Commit> => {
      commit = new Commit(tx, this.#surroundings);
      for (const [verb, group] of groupByVerb(calls)) {
        const results = await verb.run(
          commit,
          group.flatMap(({ items }) => items),
        );
        await commit.flush();
        let start = 0;
        for (const call of group) outcomes.set(call, results.slice(start, (start += call.items.length)));
      }
      await commit.writeEvents();
      return commit;
    };
    try {
      const onCommitted = (): void => this.#answerEarly(calls, outcomes);
      return { commit: await this.#engine.transaction(work, { onCommitted }), outcomes };
    } catch (error) {
      commit?.restoreTurns();
      throw error;
    }
  }

  /** Reported once, however many commits fail until it is over: they come by the thousand, and the disk may be full. */
  #noteOutage(error: unknown): void {
    const now = performance.now();
    const isNew = this.outage === null;
    this.outage = { error, since: this.outage?.since ?? now, latest: now };
    if (isNew) this.#onOutage(this.outage, false);
  }

  /** Not as soon as one commit fits in: while others are refused, it would begin and end all the time. */
  #endOutage(outage: Outage): void {
    if (performance.now() - outage.latest < CALM_MS) return;
    this.outage = null;
    this.#onOutage(outage, true);
  }

  /** Nothing of a failed transaction happened. An outage is everyone's; a bug is looked for caller by caller. */
  async #recover(calls: readonly Call[], error: unknown): Promise<void> {
    if (isOutage(error)) this.#noteOutage(error);
    else this.#onError(error, 'commit');
    if (isOutage(error) || isConflict(error)) {
      const refusal = new DomainError('UNAVAILABLE', explainRefusal(error));
      for (const call of calls) call.reject(refusal);
      if (this.#unflushed !== null) this.#failedFlushes += 1;
      this.#unflushed?.reject(refusal);
      this.#unflushed = null;
    } else if (calls.length > 1) for (const call of calls) await this.#commit([call]);
    else if (calls[0]!.items.length > 1) await this.#commitOneByOne(calls[0]!);
    else calls[0]!.reject(error);
  }

  async #commitOneByOne(call: Call): Promise<void> {
    const outcomes: unknown[] = [];
    let failure: { error: unknown } | null = null;
    for (const item of call.items) {
      const resolve = ([outcome]: readonly unknown[]): void => void outcomes.push(outcome);
      const reject = (error: unknown): void => void (failure ??= { error });
      await this.#commit([{ ...call, items: [item], resolve, reject }]);
    }
    if (failure === null) call.resolve(outcomes);
    else call.reject((failure as { error: unknown }).error);
  }
}

/** Callers must know whether it may have happened. */
function explainRefusal(error: unknown): string {
  if (isUncertain(error)) return UNCERTAIN;
  return isOutage(error) ? `${describeOutage(error)}; nothing was changed` : NOTHING_CHANGED;
}

function refuseUncertain(): never {
  throw new DomainError('UNAVAILABLE', UNCERTAIN);
}

type Outcomes = ReadonlyMap<Call, readonly unknown[]>;

function answer(calls: readonly Call[], outcomes: Outcomes): void {
  for (const call of calls) call.resolve(outcomes.get(call)!);
}

/** How many of the calls that wait go into one commit; at least one. */
function countFitting(pending: readonly Call[]): number {
  let items = 0;
  const tooMany = pending.findIndex((call) => (items += call.items.length) > MAX_ITEMS);
  return tooMany === -1 ? pending.length : Math.max(1, tooMany);
}

function groupByVerb(calls: readonly Call[]): [Verb<unknown, unknown>, Call[]][] {
  return [...Map.groupBy(calls, ({ verb }) => verb)].sort(([a], [b]) => a.stage - b.stage);
}
