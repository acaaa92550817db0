import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  openCore,
  type Core,
  type CoreObserver,
  type DatabaseOptions,
  type EncryptionKeys,
  type TaskPolicy,
} from '@task-orchestrator/core';
import { beforeEach, describe, expect, onTestFinished } from 'vitest';
import { copyTestDatabase, takeTestDatabase } from './test-database.ts';
import { wantedEngines, type EngineName } from './wanted-engines.ts';

/** Time stands still unless a test moves it. */
export class TestClock {
  now = Date.parse('2030-01-01T00:00:00.000Z');

  advance(seconds: number): void {
    this.now += seconds * 1000;
  }

  /** The ISO time so many seconds from now. */
  in(seconds: number): string {
    return new Date(this.now + seconds * 1000).toISOString();
  }
}

export interface Overrides {
  task?: Partial<TaskPolicy>;
  encryption?: EncryptionKeys;
  observer?: CoreObserver;
  clock?: TestClock;
  random?: () => number;
  /** True: timers run, and the clock is the real one. */
  background?: boolean;
}

export interface OpenedCore {
  readonly core: Core;
  readonly clock: TestClock;
  /** Also done by itself when the test ends. */
  close(): Promise<void>;
}

/** Where data outlives the core that is open on it. */
export interface Place {
  readonly database: DatabaseOptions;
  open(overrides?: Overrides): Promise<OpenedCore>;
  /** Another place, with what the sudden death of this one's core would have left. */
  copyAsIfKilled(): Promise<Place>;
}

export interface TestEngine {
  readonly name: string;
  open(overrides?: Overrides): Promise<OpenedCore>;
  /** Null where the data goes with the core. */
  readonly createPlace: (() => Promise<Place>) | null;
}

export const POLICY: TaskPolicy = {
  defaultTimeoutSeconds: 3600,
  defaultLeaseSeconds: 30,
  maxTaskRetries: 3,
  maxConcurrentTasks: 0,
  priorityAgeingSeconds: 0,
  requireLeaseToken: false,
  retentionDays: 30,
  cleanupIntervalSeconds: 3600,
  maxLogBytes: 1024 * 1024,
};

const KEYS: EncryptionKeys = { current: randomBytes(32), previous: [] };

export const ALL_ENGINES: Readonly<Record<EngineName, Omit<TestEngine, 'name'>>> = {
  'SQLite file': {
    open: async (overrides) => (await createFilePlace()).open(overrides),
    createPlace: createFilePlace,
  },
  'SQLite memory': { open: (overrides) => openSqlite(':memory:', overrides), createPlace: null },
  'Encrypted SQLite memory': {
    open: (overrides) => openSqlite(':memory:', { encryption: KEYS, ...overrides }),
    createPlace: null,
  },
  PostgreSQL: {
    open: async (overrides) => (await createDatabasePlace()).open(overrides),
    createPlace: createDatabasePlace,
  },
};

export const ENGINES: readonly TestEngine[] = wantedEngines().map((name) => ({ name, ...ALL_ENGINES[name] }));

/** The same tests on every engine. */
export function forEachEngine(define: (engine: TestEngine) => void): void {
  describe.each(ENGINES)('$name', (engine) => {
    failOnLeaks();
    define(engine);
  });
}

/** The same for engines whose data outlives a core. */
export function forEachDurableEngine(define: (createPlace: () => Promise<Place>) => void): void {
  const durable = ENGINES.flatMap(({ name, createPlace }) => (createPlace === null ? [] : [{ name, createPlace }]));
  describe.each(durable)('$name', ({ createPlace }) => {
    failOnLeaks();
    define(createPlace);
  });
}

async function createFilePlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-core-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return filePlace(folder);
}

async function createDatabasePlace(): Promise<Place> {
  return databasePlace(await takeTestDatabase());
}

function databasePlace(url: string): Place {
  const database = postgresOptions(url);
  return {
    database,
    open: (overrides = {}) => openAndClose(overrides, database),
    copyAsIfKilled: async () => databasePlace(await copyTestDatabase(url)),
  };
}

function postgresOptions(url: string): DatabaseOptions {
  return {
    engine: 'postgres',
    url,
    durability: 'full',
    maxConnections: 5,
    minConnections: 0,
    connectionTimeoutSeconds: 5,
    idleTimeoutSeconds: 60,
  };
}

function filePlace(folder: string): Place {
  const database = sqliteOptions(join(folder, 'tasks.db'));
  return {
    database,
    open: (overrides = {}) => openAndClose(overrides, database),
    async copyAsIfKilled() {
      const copy = await mkdtemp(join(tmpdir(), 'task-orchestrator-core-'));
      onTestFinished(() => rm(copy, { recursive: true, force: true }));
      await cp(folder, copy, { recursive: true });
      return filePlace(copy);
    },
  };
}

function openSqlite(path: string, overrides: Overrides = {}): Promise<OpenedCore> {
  return openAndClose(overrides, sqliteOptions(path));
}

function sqliteOptions(path: string): DatabaseOptions {
  return { engine: 'sqlite', path, durability: 'full', enableWalMode: true, busyTimeoutSeconds: 1 };
}

async function openAndClose(
  { task, clock = new TestClock(), ...rest }: Overrides,
  database: DatabaseOptions,
): Promise<OpenedCore> {
  const core = await openCore({
    database,
    task: { ...POLICY, ...task },
    clock: rest.background === true ? Date.now : () => clock.now,
    background: false,
    ...rest,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= core.close());
  onTestFinished(close);
  return { core, clock, close };
}

/** A timer that a test leaves behind fails it. */
function failOnLeaks(): void {
  beforeEach(() => {
    const before = countTimers();
    onTestFinished(async () => {
      // The test runner has timers of its own, which pass.
      for (const until = performance.now() + 2000; countTimers() > before && performance.now() < until;) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(countTimers(), 'timers left running').toBeLessThanOrEqual(before);
    });
  });
}

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout' || kind === 'Immediate').length;
}
