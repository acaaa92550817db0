import { scaled, withFolder, withMemory, withServer, withStore, type Bench, type Store } from '../bench.ts';
import { fillStore } from '../load/fill.ts';
import type { System } from '../systems.ts';

const DRAIN = 20_000;
const DRAIN_MAX_MS = 20_000;
const FILL_LIMIT_MS = 600_000;

/** C: everything that waits, until the store says that nothing is left. The first time does not count: the server compiles. */
export async function measureDrain(bench: Bench, system: System): Promise<void> {
  const count = scaled(bench, DRAIN);
  await withStore(bench, system, async (store) => {
    const drain = async () => {
      await store.load({ action: 'fill', count });
      return store.load({ action: 'drain', count, maxMs: DRAIN_MAX_MS, isWhole: true });
    };
    await drain();
    bench.add(system.id, 'C', withMemory(store, await drain()));
  });
}

/** Waiting tasks, and what else is in the store: only ours is loaded with that. */
interface Backlog {
  readonly name: string;
  readonly waiting: number;
  readonly scheduled: number;
  readonly finished: number;
}
const BACKLOGS: readonly Backlog[] = [
  { name: 'E 300k', waiting: 300_000, scheduled: 0, finished: 0 },
  { name: 'E 1M', waiting: 1_000_000, scheduled: 0, finished: 0 },
  { name: 'E 1M+1M+1M', waiting: 1_000_000, scheduled: 1_000_000, finished: 1_000_000 },
];

/** They share a store; the first one loads it. */
type Rows = readonly [System, ...System[]];

/**
 * E: as many tasks as in C, out of a much longer line. Loading takes longer than measuring, so all rounds of all rows
 * that can share a store follow one another there, each with a new worker process.
 */
export async function measureDeepDrain(bench: Bench, rows: Rows): Promise<void> {
  await withFolder(bench, (dir) =>
    rows[0].server === 'ours' ? drainOurs(bench, rows, dir) : drainPeer(bench, rows, dir),
  );
}

/** Loaded while no server runs. */
async function drainOurs(bench: Bench, rows: Rows, dir: string): Promise<void> {
  const loaded = { waiting: 0, scheduled: 0, finished: 0 };
  for (const backlog of BACKLOGS) {
    const missing = {
      waiting: waitingAtStart(bench, rows, backlog) - loaded.waiting,
      scheduled: scaled(bench, backlog.scheduled, 0) - loaded.scheduled,
      finished: scaled(bench, backlog.finished, 0) - loaded.finished,
    };
    await fillStore(bench, dir, missing);
    await withServer(bench, { system: rows[0], dir }, (store) =>
      drainRounds(bench, { rows, store, name: backlog.name }),
    );
    loaded.waiting += missing.waiting - takenIn(bench, rows);
    loaded.scheduled += missing.scheduled;
    loaded.finished += missing.finished;
  }
}

type Using = (work: (store: Store) => Promise<void>) => Promise<void>;

async function drainPeer(bench: Bench, rows: Rows, dir: string): Promise<void> {
  const on = { system: rows[0], dir };
  // It alone can do without flushes while the backlog is loaded, which is not measured.
  if (on.system.server === 'beanstalkd') {
    return drainBacklogs(bench, rows, {
      filling: (work) => withServer(bench, { ...on, isUnsafe: true }, work),
      measuring: (work) => withServer(bench, on, work),
    });
  }
  return withServer(bench, on, (store) => {
    const onStore: Using = (work) => work(store);
    return drainBacklogs(bench, rows, { filling: onStore, measuring: onStore });
  });
}

async function drainBacklogs(
  bench: Bench,
  rows: Rows,
  { filling, measuring }: { filling: Using; measuring: Using },
): Promise<void> {
  let loaded = 0;
  for (const backlog of BACKLOGS.filter(({ finished }) => finished === 0)) {
    const count = waitingAtStart(bench, rows, backlog) - loaded;
    await filling(async (store) => {
      await store.load({ action: 'fill', count }, { limitMs: FILL_LIMIT_MS });
    });
    await measuring((store) => drainRounds(bench, { rows, store, name: backlog.name }));
    loaded += count - takenIn(bench, rows);
  }
}

async function drainRounds(bench: Bench, on: { rows: Rows; store: Store; name: string }): Promise<void> {
  const { rows, store, name } = on;
  const action = { action: 'drain', count: scaled(bench, DRAIN), maxMs: DRAIN_MAX_MS, isWhole: false } as const;
  // As in C, the first does not count.
  await store.load(action, { as: rows[0] });
  for (let round = 1; round <= bench.options.rounds; round++) {
    for (const system of rows) bench.add(system.id, name, withMemory(store, await store.load(action, { as: system })));
  }
}

/** So many that the named number still waits when the last round begins. */
function waitingAtStart(bench: Bench, rows: Rows, { waiting }: Backlog): number {
  return scaled(bench, waiting) + takenIn(bench, rows) - scaled(bench, DRAIN);
}

function takenIn(bench: Bench, rows: Rows): number {
  return (1 + bench.options.rounds * rows.length) * scaled(bench, DRAIN);
}
