import { HeartbeatInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import type { Answer, ToolCall } from './tool.ts';

const { task_id, lease_token } = HeartbeatInput.shape;

/** The lease of the task that the caller works on: a call that names it renews it, so that no model has to think of it. */
export const Holding = z
  .strictObject({ task_id, lease_token })
  .describe('Your own lease: this call renews it')
  .optional();
export type Holding = z.output<typeof Holding>;

/** A lease kept alive over one call. */
export interface KeptLease {
  /** Throws `LEASE_LOST` when it cannot be renewed. */
  renew(): Promise<void>;
  /** Adds how the lease stands. */
  tell(answer: Answer): Answer;
}

export function keepLease(holding: Holding, { ask }: Pick<ToolCall, 'ask'>): KeptLease | undefined {
  if (!holding) return undefined;
  let lease: Awaited<ReturnType<typeof ask<'tasks.heartbeat'>>> | undefined;
  return {
    async renew() {
      lease = await ask('tasks.heartbeat', holding);
    },
    tell(answer) {
      if (!lease) return answer;
      const { lease_expires_at, cancel_requested } = lease;
      const next = cancel_requested ? `${cancelStep(lease.cancel_reason)} Else: ${answer.next}` : answer.next;
      return { ...answer, holding: { lease_expires_at, cancel_requested }, next };
    },
  };
}

/** What to do when somebody wants the task cancelled that the caller works on. */
export function cancelStep(reason: string | null): string {
  const why = reason === null ? '' : ` (${reason})`;
  return `Your task is to be cancelled${why}: stop, undo what is half done, and call fail_task; the task then becomes cancelled.`;
}
