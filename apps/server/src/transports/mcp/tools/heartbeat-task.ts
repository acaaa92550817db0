import { HeartbeatInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { cancelStep } from '../holding.ts';
import { BOOLEAN, defineTool, STRING } from '../tool.ts';

const fields = HeartbeatInput.shape;

export const heartbeatTask = defineTool({
  name: 'heartbeat_task',
  title: 'Heartbeat',
  description:
    'Renew the lease of the task you work on, and say how far you are. Call it before lease_expires_at. Tells you when the task is to be cancelled.',
  operations: ['tasks.heartbeat'],
  input: z.strictObject({
    task_id: fields.task_id,
    lease_token: fields.lease_token,
    progress: fields.progress,
    lease_seconds: fields.lease_seconds,
  }),
  output: { lease_expires_at: STRING, cancel_requested: BOOLEAN },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  async run(args, { ask }) {
    const { lease_expires_at, cancel_requested, cancel_reason } = await ask('tasks.heartbeat', args);
    return {
      lease_expires_at,
      cancel_requested,
      next: cancel_requested
        ? cancelStep(cancel_reason)
        : `Go on. Call heartbeat_task again before ${lease_expires_at}, or complete_task when done.`,
    };
  },
});
