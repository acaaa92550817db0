import type { CompleteInput, TaskReceipt } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { DomainError, invalidField } from '../domain-error.ts';
import { isFinished, refuseLease, refuseStatus } from '../domain/task-state.ts';
import { finishedSince, settleDependants } from './dependants.ts';
import { failAttempt } from './finish-attempt.ts';
import { toJsonColumn } from './json-column.ts';
import { decideEach, lockTasks } from './load-tasks.ts';
import { toReceipt, type ControlRow } from './task-row.ts';

const promptsById = defineStatement<[ids: string], { task_id: string; prompt: string }>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(['task_id', 'prompt'])
    .where(({ ref }) => dialect.inStrings(ref('task_id'), arg(0))),
);

/** Completes tasks with their results. A result that says `failure` is a failed attempt. */
export const completeTasks = defineVerb<CompleteInput, TaskReceipt>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const prompts = await loadPrompts(commit, items);
    const before = commit.changes.length;
    const outcomes = decideEach(items, tasks, (task, item) => {
      if (!isReplay(task, item)) {
        checkCompletion(commit, task, item, prompts);
        complete(commit, task, item);
      }
      return toReceipt(task);
    });
    await settleDependants(commit, finishedSince(commit, before));
    return outcomes;
  },
});

/** The same completion again, because its answer was lost. */
function isReplay(task: ControlRow, { lease_token, result }: CompleteInput): boolean {
  const ending = result.status === 'failure' ? 'failed' : 'completed';
  return lease_token !== undefined && task.lease_token === lease_token && task.lease_state === ending;
}

function checkCompletion(
  commit: Commit,
  task: ControlRow,
  item: CompleteInput,
  prompts: ReadonlyMap<string, string>,
): void {
  if (item.lease_token === undefined) {
    if (commit.policy.requireLeaseToken) throw invalidField('lease_token', 'is required by this server');
    if (task.status !== 'working') throw refuseStatus(task.task_id, task.status, 'completed');
  } else if (item.lease_token !== task.lease_token || !mayStillComplete(task, item)) {
    throw refuseLease(task.task_id, task.status);
  }
  if (item.original_prompt !== undefined && item.original_prompt !== openPrompt(commit, task, prompts)) {
    throw new DomainError('PROMPT_MISMATCH', `original_prompt is not the prompt of task ${task.task_id}`, {
      field: 'original_prompt',
      message: "must equal the task's prompt",
    });
  }
}

/** Only once it is asked for: one that cannot be read is the affair of its item alone. */
function openPrompt({ cipher }: Commit, { task_id }: ControlRow, prompts: ReadonlyMap<string, string>): string {
  return cipher.open(prompts.get(task_id)!, task_id, 'prompt');
}

/** The lease is live, or it ran out and nobody else has taken the task since. */
function mayStillComplete(task: ControlRow, { result }: CompleteInput): boolean {
  if (task.status === 'working') return task.lease_state === 'live';
  return task.lease_state === 'expired' && !isFinished(task.status) && result.status === 'success';
}

function complete(commit: Commit, task: ControlRow, { result }: CompleteInput): void {
  const json = commit.cipher.seal(toJsonColumn('result', result), task.task_id, 'result');
  if (result.status === 'failure') {
    const error = {
      code: 'RESULT_FAILURE',
      message: 'the worker handed in a result with status failure',
      retryable: true,
    };
    failAttempt(commit, task, { error, leaseState: 'failed', result: json });
    return;
  }
  commit.change('completed', task, {
    status: 'completed',
    lease_state: 'completed',
    lease_expires_at: null,
    cancel_requested: 0,
    result: json,
    error: null,
    finished_at: commit.now,
  });
}

async function loadPrompts(commit: Commit, items: readonly CompleteInput[]): Promise<Map<string, string>> {
  const ids = items.filter((item) => item.original_prompt !== undefined).map(({ task_id }) => task_id);
  if (ids.length === 0) return new Map();
  const rows = await commit.tx.all(promptsById, [JSON.stringify(ids)]);
  return new Map(rows.map(({ task_id, prompt }) => [task_id, prompt]));
}
