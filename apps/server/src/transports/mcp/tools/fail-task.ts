import { FailInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { defineTool, STRING } from '../tool.ts';

const fields = FailInput.shape;

export const failTask = defineTool({
  name: 'fail_task',
  title: 'Fail a task',
  description:
    'Say that you could not do the task you work on. It is tried again while attempts are left; retryable: false ends it. Also how you end a task that is to be cancelled.',
  operations: ['tasks.fail'],
  input: z.strictObject({
    task_id: fields.task_id,
    lease_token: fields.lease_token,
    error: fields.error.describe('What went wrong, for who tries next'),
    retryable: fields.retryable,
    retry_after_seconds: fields.retry_after_seconds.describe('Instead of a growing pause'),
  }),
  output: { task_id: STRING, status: STRING, run_at: STRING },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  async run(args, { ask }) {
    const { task_id, status, run_at } = await ask('tasks.fail', args);
    const isOver = status === 'failed' || status === 'cancelled';
    return {
      task_id,
      status,
      ...(!isOver && { run_at }),
      next: `The task is ${status}${isOver ? ' for good' : `, to be tried again from ${run_at}`}. Call acquire_task for the next one.`,
    };
  },
});
