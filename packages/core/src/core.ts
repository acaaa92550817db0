import { CommitQueue } from './commit/commit-queue.ts';
import type { TaskPolicy } from './commit/commit.ts';
import type { Core, CoreObserver } from './core-api.ts';
import type { CoreTracer } from './core-tracer.ts';
import type { Engine } from './db/engine.ts';
import { migrate } from './db/migrate.ts';
import { openEngine, type DatabaseOptions } from './db/open-engine.ts';
import { describeOutage, isOutage } from './db/outage.ts';
import { AcquireWaiters } from './dispatch/acquire-waiters.ts';
import { DueTimer } from './dispatch/due-timer.ts';
import { EventFeed } from './dispatch/event-feed.ts';
import { PathSettings } from './dispatch/path-settings.ts';
import { PathTurns } from './dispatch/path-turns.ts';
import { TaskEnds } from './dispatch/task-ends.ts';
import { WaitingCounts } from './dispatch/waiting-counts.ts';
import { WorkerSightings } from './dispatch/worker-sightings.ts';
import { DomainError } from './domain-error.ts';
import { Cipher, NO_KEYS, type EncryptionKeys } from './encryption/cipher.ts';
import { claimKey } from './encryption/keys-in-use.ts';
import { readPathSettings } from './repository/paths.ts';
import { countTasks, waitingFlows } from './repository/statistics.ts';
import { announce } from './service/announce.ts';
import type { CoreContext } from './service/context.ts';
import { durable } from './service/durable.ts';
import {
  promoteDueTasks,
  runMaintenance,
  startMaintenance,
  writeKeyUses,
  writeSightings,
} from './service/maintenance.ts';
import { createOperations } from './service/operations.ts';

/** Tasks that are due and could not be made ready are tried again after this long. */
const DUE_RETRY_MS = 1_000;

export interface CoreOptions {
  database: DatabaseOptions;
  task: TaskPolicy;
  /** Without it, prompts, results and logs are stored as they are. */
  encryption?: EncryptionKeys | undefined;
  observer?: CoreObserver;
  tracer?: CoreTracer | undefined;
  /** Milliseconds since the epoch; for tests. */
  clock?: () => number;
  /** Uniform in [0, 1); for tests. */
  random?: () => number;
  /** False: nothing happens by itself, only in `tick`; for tests with a clock of their own. */
  background?: boolean;
}

/**
 * Opens the database, brings its schema up to date and starts to work.
 * @throws when the database is in use by another server, cannot be written, is newer than this code, or is encrypted
 * under a key that is not given.
 */
export async function openCore(options: CoreOptions): Promise<Core> {
  const { database, encryption = NO_KEYS, clock, observer, tracer } = options;
  const cipher = new Cipher(encryption);
  const engine = await openEngine({
    database,
    clock,
    onError: (error, doing) => observer?.onError?.(error, doing),
    onStatement: tracer && ((statement) => tracer.statement(statement)),
  });
  try {
    await migrate(engine);
    await claimKey(engine, cipher);
    return await startCore(engine, cipher, options);
  } catch (error) {
    await engine.close();
    throw error;
  }
}

/** Brings the schema up to date and no more: it touches no value, and asks for no key. */
export async function migrateDatabase(database: DatabaseOptions): Promise<void> {
  const engine = await openEngine({ database });
  try {
    await migrate(engine);
  } finally {
    await engine.close();
  }
}

async function startCore(engine: Engine, cipher: Cipher, options: CoreOptions): Promise<Core> {
  const ending = new AbortController();
  const context = await createContext(engine, cipher, options, ending.signal);
  const background = options.background === false ? null : await startMaintenance(context);
  const drain = (): void => {
    ending.abort();
    context.waiters.wakeAll();
    context.feed.close();
  };
  const early = createOperations(context);
  return {
    ...durable(early, context.commits),
    early,
    durably: (result, prepare) => context.commits.durably(result, prepare),
    tick: () => runMaintenance(context),
    drain,
    async close() {
      drain();
      context.due.stop();
      await background?.stop();
      // What a full disk keeps from being written down is lost; the end is not held up by it.
      await Promise.all([writeSightings(context), writeKeyUses(context)]).catch((error: unknown) =>
        context.observer.onError?.(error, 'worker sightings and uses of keys'),
      );
      await context.commits.whenIdle();
      await engine.close();
    },
  };
}

async function createContext(
  engine: Engine,
  cipher: Cipher,
  { task: policy, observer: told = {}, tracer, random = Math.random }: CoreOptions,
  ending: AbortSignal,
): Promise<CoreContext> {
  const observer = untilOutage(told, () => context);
  const settings = new PathSettings();
  const turns = new PathTurns({
    weightOf: (path) => settings.weightOf(path),
    ageingMs: policy.priorityAgeingSeconds * 1000,
  });
  settings.replaceAll(await readPathSettings(engine.reader));
  const waiting = engine.peers === null ? new WaitingCounts() : null;
  for await (const { work_directory, priority, run_at, band, waiting: count = 0 } of waitingFlows(engine)) {
    turns.add(work_directory, priority, run_at, band ?? Infinity);
    waiting?.add(work_directory, count);
  }
  const context: CoreContext = {
    engine,
    policy,
    cipher,
    observer,
    turns,
    settings,
    ending,
    waiters: new AcquireWaiters(),
    feed: new EventFeed(),
    ends: new TaskEnds(),
    sightings: new WorkerSightings(),
    keyUses: new Map(),
    counts: await countTasks(engine.reader),
    waiting,
    due: new DueTimer(
      () => engine.clock(),
      () => {
        promoteDueTasks(context).catch((error: unknown) => {
          observer.onError?.(error, 'promotion of due tasks');
          context.due.expect(engine.clock() + DUE_RETRY_MS);
        });
      },
    ),
    commits: new CommitQueue({
      engine,
      surroundings: { policy, turns, settings, cipher, random },
      tracer,
      onCommit(commit, calls, seconds) {
        announce(context, commit);
        observer.onCommit?.({ calls, seconds });
      },
      onError: (error, doing) => observer.onError?.(error, doing),
      onOutage({ error, since }, isOver) {
        if (isOver) observer.onRecovery?.((performance.now() - since) / 1000);
        else observer.onOutage?.(describeOutage(error), error);
      },
    }),
  };
  return context;
}

/** An outage is told of when it begins and when it ends, not by everything that fails in between. */
function untilOutage(observer: CoreObserver, findContext: () => CoreContext): CoreObserver {
  return {
    ...observer,
    onError(error, doing) {
      const isRefused = error instanceof DomainError && error.code === 'UNAVAILABLE';
      const isTold = findContext().commits.outage !== null && (isRefused || isOutage(error));
      if (!isTold) observer.onError?.(error, doing);
    },
  };
}
