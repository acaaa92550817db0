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
  readonly item: unknown;
  readonly caller: TracedCaller | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const MAX_CALLS = 1_000;
const NOTHING_CHANGED = 'the database cannot take writes right now; nothing was changed';
const UNCERTAIN =
  'the database was lost during the write, which may have happened: send the same again, with the same keys and tokens';
/** An outage is over when a commit goes through and none was refused for this long. */
const CALM_MS = 2_000;
/** A commit that met another server's on its way is tried again. */
const MAX_TRIES = 10;

/**
 * Collects concurrent writes into one durable transaction. An idle queue commits at the end of the current turn
 * of the event loop; while a commit is under way, the next one fills. Callers hear nothing before their commit.
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

  /** Resolves after the commit that holds the write. */
  run<Item, Result>(verb: Verb<Item, Result>, item: Item): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      // The queue hands each item to the verb it came with, and each result to the caller of that item.
      this.#pending.push({ verb, item, caller: this.#tracer?.caller(), resolve, reject } as Call);
      this.#schedule();
    });
  }

  /** Resolves when nothing is pending or under way. */
  async whenIdle(): Promise<void> {
    if (this.#pending.length === 0 && this.#flushing === 0) return;
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
    const calls = this.#pending.splice(0, MAX_CALLS);
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
    let done: { commit: Commit; outcomes: unknown[] };
    try {
      done = await this.#traced(calls, () => this.#transact(calls));
    } catch (error) {
      if (isConflict(error) && triesLeft > 1) return this.#commit(calls, triesLeft - 1);
      return this.#recover(calls, error);
    }
    if (this.outage !== null) this.#endOutage(this.outage);
    this.#announce(done.commit, calls.length, (performance.now() - started) / 1000);
    calls.forEach((call, index) => settle(call, done.outcomes[index]));
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

  async #transact(calls: readonly Call[]): Promise<{ commit: Commit; outcomes: unknown[] }> {
    const outcomes: unknown[] = Array.from({ length: calls.length });
    let commit: Commit | undefined;
    const work = async (tx: Transaction): Promise<Commit> => {
      commit = new Commit(tx, this.#surroundings);
      for (const [verb, indexes] of groupByVerb(calls)) {
        const items = indexes.map((index) => calls[index]!.item);
        const results = await verb.run(commit, items);
        await commit.flush();
        indexes.forEach((index, position) => (outcomes[index] = results[position]));
      }
      await commit.writeEvents();
      return commit;
    };
    try {
      return { commit: await this.#engine.transaction(work), outcomes };
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
    } else if (calls.length === 1) calls[0]!.reject(error);
    else for (const call of calls) await this.#commit([call]);
  }
}

/** Callers must know whether it may have happened. */
function explainRefusal(error: unknown): string {
  if (isUncertain(error)) return UNCERTAIN;
  return isOutage(error) ? `${describeOutage(error)}; nothing was changed` : NOTHING_CHANGED;
}

function settle(call: Call, outcome: unknown): void {
  if (outcome instanceof DomainError) call.reject(outcome);
  else call.resolve(outcome);
}

function groupByVerb(calls: readonly Call[]): [Verb<unknown, unknown>, number[]][] {
  const groups = new Map<Verb<unknown, unknown>, number[]>();
  calls.forEach(({ verb }, index) => {
    const indexes = groups.get(verb);
    if (indexes) indexes.push(index);
    else groups.set(verb, [index]);
  });
  return [...groups].sort(([a], [b]) => a.stage - b.stage);
}
