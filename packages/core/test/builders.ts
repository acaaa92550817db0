import {
  AcquireInput,
  AppendLogInput,
  BatchTask,
  CancelInput,
  CompleteInput,
  CreateTask,
  FailInput,
  HeartbeatInput,
  ListInput,
  SetPathInput,
  type AcquiredTask,
  type ErrorCode,
  type Task,
} from '@task-orchestrator/contract';
import { DomainError, type Core } from '@task-orchestrator/core';
import { expect } from 'vitest';
import type { z } from 'zod';

/** What a producer sends, with what the test is not about filled in. */
export function aTask(task: Partial<z.input<typeof CreateTask>> = {}): CreateTask {
  return CreateTask.parse({ work_directory: '/repo', prompt: 'do it', ...task });
}

export function aBatchTask(task: Partial<z.input<typeof BatchTask>> = {}): BatchTask {
  return BatchTask.parse({ work_directory: '/repo', prompt: 'do it', ...task });
}

/** Asks for `/repo` unless told otherwise; `work_path: undefined` asks for any path. */
export function anAcquire(acquire: Partial<z.input<typeof AcquireInput>> = {}): AcquireInput {
  const path = acquire.work_paths === undefined && !('work_path' in acquire) ? { work_path: '/repo' } : {};
  return AcquireInput.parse({ worker_id: 'worker', ...path, ...acquire });
}

/** Takes the next task, which must be there. */
export async function take(core: Core, acquire: Partial<z.input<typeof AcquireInput>> = {}): Promise<AcquiredTask> {
  const { tasks, reason } = await core.acquireTasks(anAcquire(acquire));
  expect(tasks, `nothing to take: ${reason}`).not.toHaveLength(0);
  return tasks[0]!;
}

/** Takes tasks one by one until there are none, or `limit` of them. */
export async function takeAll(
  core: Core,
  acquire: Partial<z.input<typeof AcquireInput>> = {},
  limit = Infinity,
): Promise<AcquiredTask[]> {
  const taken: AcquiredTask[] = [];
  while (taken.length < limit) {
    const { tasks } = await core.acquireTasks(anAcquire(acquire));
    if (tasks.length === 0) break;
    taken.push(...tasks);
  }
  return taken;
}

type Held = Pick<AcquiredTask, 'task_id' | 'lease_token'>;

export function heartbeatOf(task: Held, more: Partial<z.input<typeof HeartbeatInput>> = {}): HeartbeatInput {
  return HeartbeatInput.parse({ task_id: task.task_id, lease_token: task.lease_token, ...more });
}

export function completionOf(task: Held, more: Partial<z.input<typeof CompleteInput>> = {}): CompleteInput {
  return CompleteInput.parse({ task_id: task.task_id, lease_token: task.lease_token, ...more });
}

export function failureOf(task: Held, more: Partial<z.input<typeof FailInput>> = {}): FailInput {
  return FailInput.parse({
    task_id: task.task_id,
    lease_token: task.lease_token,
    error: { message: 'it broke' },
    ...more,
  });
}

export function releaseOf(task: Held): { task_id: string; lease_token: string } {
  return { task_id: task.task_id, lease_token: task.lease_token };
}

export function logOf(task: Held, ...texts: string[]): AppendLogInput {
  const entries = texts.map((text) => ({ text }));
  return AppendLogInput.parse({ task_id: task.task_id, lease_token: task.lease_token, entries });
}

export function cancelOf(task: { task_id: string }, more: Partial<z.input<typeof CancelInput>> = {}): CancelInput {
  return CancelInput.parse({ task_id: task.task_id, ...more });
}

export function listOf(list: z.input<typeof ListInput> = {}): ListInput {
  return ListInput.parse(list);
}

export function aSetting(path: string, setting: Omit<z.input<typeof SetPathInput>, 'path'>): SetPathInput {
  return SetPathInput.parse({ path, ...setting });
}

export async function statusOf(core: Core, task: { task_id: string }): Promise<Task['status']> {
  return (await core.getTask({ task_id: task.task_id })).status;
}

export async function eventTypes(core: Core, task: { task_id: string }): Promise<string[]> {
  const { events } = await core.listEvents({ task_id: task.task_id, limit: 1000 });
  return events.map(({ type }) => type);
}

/** Fails unless the call is refused with the code; answers the refusal. */
export async function refused(code: ErrorCode, call: Promise<unknown>): Promise<DomainError> {
  const outcome = await call.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const error = 'error' in outcome ? outcome.error : undefined;
  if (!(error instanceof DomainError)) expect.fail(`expected ${code}, got ${JSON.stringify(outcome)} ${String(error)}`);
  expect(error.code, error.message).toBe(code);
  return error;
}

export const prompts = (tasks: readonly { prompt: string }[]): string[] => tasks.map(({ prompt }) => prompt);
