import { DomainError } from '@task-orchestrator/core';
import { ProtocolError, ProtocolErrorCode, type CallToolResult } from '@modelcontextprotocol/server';
import { toRefusal } from '../../refusal.ts';
import { toErrorResult, toToolResult } from './answer.ts';
import type { Ask } from './ask.ts';
import { handOutTask, type TaskSource } from './tasks-extension.ts';
import { describeOutcome } from './tools/wait-outcome.ts';

export interface Wait {
  readonly task_ids: readonly string[];
  readonly until: 'any' | 'all';
}

/** The handle for a wait. It holds the whole question, so no server has to remember it, and it outlives all of them. */
export function startWait(wait: Wait, pending: number, now: Date): CallToolResult {
  const createdAt = now.toISOString();
  return handOutTask(encodeWait(wait, now), createdAt, {
    status: 'working',
    statusMessage: describePending(wait, pending),
    lastUpdatedAt: createdAt,
  });
}

export function createWaitSource(ask: Ask): TaskSource {
  return {
    createdAt: (taskId) => decodeWait(taskId)?.createdAt,
    async get(taskId) {
      const { createdAt, wait } = decodeWait(taskId)!;
      try {
        const outcome = await ask('tasks.wait', { ...wait, task_ids: [...wait.task_ids], wait_seconds: 0 });
        const lastUpdatedAt = outcome.finished.reduce((last, { finished_at }) => max(last, finished_at), createdAt);
        return outcome.done
          ? { status: 'completed', result: toToolResult(describeOutcome(outcome)), lastUpdatedAt }
          : { status: 'working', statusMessage: describePending(wait, outcome.pending.length), lastUpdatedAt };
      } catch (error) {
        const refusal = toRefusal(error, '');
        if (!(error instanceof DomainError) || error.code === 'UNAVAILABLE') {
          throw new ProtocolError(ProtocolErrorCode.InternalError, refusal.body.message);
        }
        return { status: 'completed', result: toErrorResult(refusal, 'wait_for_tasks'), lastUpdatedAt: createdAt };
      }
    },
    update: () => undefined,
    // Nothing is going on here that could be stopped: the tasks have their own cancel_task.
    cancel: () => undefined,
  };
}

function describePending({ task_ids, until }: Wait, pending: number): string {
  return `waiting for ${until} of ${task_ids.length} tasks, ${pending} not finished`;
}

function max(a: string, b: string | null): string {
  return b !== null && b > a ? b : a;
}

const ID_BYTES = 16;
const HANDLE = /^wait\.(any|all)\.([0-9a-z]{1,9})\.([\w-]+)$/;

function encodeWait({ task_ids, until }: Wait, now: Date): string {
  const ids = Buffer.from(task_ids.map((id) => id.replaceAll('-', '')).join(''), 'hex').toString('base64url');
  return `wait.${until}.${now.getTime().toString(36)}.${ids}`;
}

function decodeWait(taskId: string): { wait: Wait; createdAt: string } | undefined {
  const [, until, at = '', ids = ''] = HANDLE.exec(taskId) ?? [];
  if (until !== 'any' && until !== 'all') return undefined;
  const bytes = Buffer.from(ids, 'base64url').toString('hex');
  const task_ids = bytes.match(/.{32}/g) ?? [];
  if (task_ids.length === 0 || task_ids.length * ID_BYTES * 2 !== bytes.length) return undefined;
  const createdAt = new Date(Number.parseInt(at, 36));
  if (Number.isNaN(createdAt.getTime())) return undefined;
  return { wait: { until, task_ids: task_ids.map(toUuid) }, createdAt: createdAt.toISOString() };
}

function toUuid(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
