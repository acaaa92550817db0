import type { Scenario } from './scenario.ts';

export type ServerKind = 'ours' | 'redis' | 'postgres' | 'beanstalkd' | 'bunqueue';

/** One row: what is measured and how it is set up. */
export interface System {
  readonly id: string;
  /** Module that speaks to it: our own, or one of `peers/adapters`. */
  readonly adapter: 'ours' | 'bullmq' | 'pgboss' | 'graphile' | 'plainjob' | 'bunqueue' | 'beanstalkd';
  /** Without one the store lives inside the load process. */
  readonly server?: ServerKind;
  readonly runtime?: 'bun';
  /** Goes to the adapter. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly scenarios: readonly Scenario[];
  /** A row whose deep backlog serves this one too, since only the client differs. */
  readonly sharesBacklogOf?: string;
  readonly configuration: string;
  /** What a caller knows once an enqueue is acknowledged. */
  readonly acknowledgement: string;
}

const FLUSHED = 'flushed to disk before the reply: survives kill -9 and power loss';
const WRITTEN = 'written, not flushed: survives kill -9, not power loss';

const ALL = ['S', 'A', 'B', 'C', 'D', 'E'] as const;
const DRAINS = ['C', 'E'] as const;

const GRAPHILE_BATCH = {
  localQueue: { size: 500, refetchDelay: { durationMs: 10 } },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const PG_BOSS_BATCH = { batchSize: 500, localConcurrency: 2, burstWhenBatchFull: true };

export const SYSTEMS: readonly System[] = [
  {
    id: 'ours',
    adapter: 'ours',
    server: 'ours',
    scenarios: [...ALL, 'G', 'H', 'I'],
    configuration:
      'SDK; Worker concurrency 64. Auth, metrics and default logs on, durability full, `task.max_concurrent_tasks` 0, rate limit off',
    acknowledgement: FLUSHED,
  },
  {
    id: 'ours-prefetch',
    sharesBacklogOf: 'ours',
    adapter: 'ours',
    server: 'ours',
    settings: { prefetch: 936 },
    scenarios: DRAINS,
    configuration: 'the same, Worker with `prefetch: 936`: 1,000 tasks held, as in pg-boss-batch',
    acknowledgement: FLUSHED,
  },
  {
    id: 'bullmq',
    adapter: 'bullmq',
    server: 'redis',
    scenarios: ALL,
    configuration: 'Redis `appendonly yes`, `appendfsync always`, no RDB saves; worker concurrency 64',
    acknowledgement: FLUSHED,
  },
  {
    id: 'pg-boss',
    adapter: 'pgboss',
    server: 'postgres',
    scenarios: ALL,
    configuration: 'pool 10, `batchSize: 64`, `burstWhenBatchFull`, poll 2 s (default), no NOTIFY',
    acknowledgement: FLUSHED,
  },
  {
    id: 'pg-boss-batch',
    adapter: 'pgboss',
    server: 'postgres',
    settings: { notify: true, workOptions: PG_BOSS_BATCH },
    scenarios: ['C', 'D', 'E'],
    configuration:
      'NOTIFY on, `batchSize: 500`, `localConcurrency: 2`, `burstWhenBatchFull`; a crash repeats up to a batch',
    acknowledgement: FLUSHED,
  },
  {
    id: 'graphile',
    adapter: 'graphile',
    server: 'postgres',
    scenarios: ALL,
    configuration: '`concurrentJobs: 64`, `maxPoolSize: 10` (default)',
    acknowledgement: FLUSHED,
  },
  {
    id: 'graphile-batch',
    sharesBacklogOf: 'graphile',
    adapter: 'graphile',
    server: 'postgres',
    settings: { worker: GRAPHILE_BATCH },
    scenarios: ['C', 'D', 'E'],
    configuration:
      '`localQueue` 500 with `refetchDelay` 10 ms, `completeJobBatchDelay: 0`; a crash repeats up to a batch',
    acknowledgement: FLUSHED,
  },
  {
    id: 'plainjob',
    adapter: 'plainjob',
    settings: { poll: 10 },
    scenarios: ALL,
    configuration:
      'in the load process, no network; `PRAGMA synchronous=FULL` set by us, `pollIntervall: 10`, 64 workers',
    acknowledgement: FLUSHED,
  },
  {
    id: 'bunqueue',
    adapter: 'bunqueue',
    server: 'bunqueue',
    runtime: 'bun',
    scenarios: ALL,
    configuration: 'TCP, `durable: true`, worker concurrency 64; its limit of 10,000 requests/min lifted',
    acknowledgement: WRITTEN,
  },
  {
    id: 'bunqueue-batch',
    sharesBacklogOf: 'bunqueue',
    adapter: 'bunqueue',
    server: 'bunqueue',
    runtime: 'bun',
    settings: { batch: 100 },
    scenarios: DRAINS,
    configuration: 'the same, worker `batchSize: 100`',
    acknowledgement: WRITTEN,
  },
  {
    id: 'beanstalkd',
    adapter: 'beanstalkd',
    server: 'beanstalkd',
    scenarios: ALL,
    configuration: '`-b dir -f 0`; 8 producer and 64 worker connections; "bulk" is 500 pipelined puts',
    acknowledgement: FLUSHED,
  },
];
