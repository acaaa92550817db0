// Fills a database file through the core while no server has it open: fill-store.ts '<json config>'.
import { AcquireInput, CompleteManyInput, CreateManyInput } from '@task-orchestrator/contract';
import { openCore, type Core } from '@task-orchestrator/core';
import { somePayloads } from './queue.ts';

export interface FillConfig {
  readonly file: string;
  readonly waiting: number;
  readonly scheduled: number;
  readonly finished: number;
}

const CREATE_BATCH = 1000;
const ACQUIRE_BATCH = 500;
const YEAR_MS = 365 * 86_400_000;

if (import.meta.main) {
  const { file, waiting, scheduled, finished } = JSON.parse(process.argv[2] ?? '{}') as FillConfig;
  const core = await openCore({
    database: { engine: 'sqlite', path: file, durability: 'normal', enableWalMode: true, busyTimeoutSeconds: 30 },
    task: {
      defaultTimeoutSeconds: 3600,
      defaultLeaseSeconds: 600,
      maxTaskRetries: 3,
      maxConcurrentTasks: 0,
      priorityAgeingSeconds: 14_400,
      requireLeaseToken: false,
      retentionDays: 30,
      cleanupIntervalSeconds: 3600,
      maxLogBytes: 2 ** 20,
    },
  });
  await finish(core, finished);
  await create(core, scheduled, new Date(Date.now() + YEAR_MS).toISOString());
  await create(core, waiting);
  await core.close();
  process.stdout.write('@@{}\n');
}

async function create(core: Core, count: number, run_at?: string): Promise<void> {
  for (let from = 0; from < count; from += CREATE_BATCH) {
    const payloads = somePayloads(from, Math.min(CREATE_BATCH, count - from));
    const tasks = payloads.map(({ work_directory, prompt, priority }) => ({
      work_directory,
      prompt,
      metadata: { priority },
      run_at,
    }));
    await core.createTasks(CreateManyInput.parse({ tasks }));
  }
}

/** Batch by batch, so that each one is acquired from a short line. */
async function finish(core: Core, count: number): Promise<void> {
  for (let from = 0; from < count; from += ACQUIRE_BATCH) {
    const size = Math.min(ACQUIRE_BATCH, count - from);
    await create(core, size);
    const { tasks } = await core.acquireTasks(AcquireInput.parse({ worker_id: 'filler', limit: size }));
    const completions = tasks.map(({ task_id, lease_token }) => ({ task_id, lease_token }));
    await core.completeTasks(CompleteManyInput.parse({ completions }));
  }
}
