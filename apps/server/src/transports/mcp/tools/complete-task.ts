import { CompleteInput, HeartbeatInput, TaskResult } from '@task-orchestrator/contract';
import { z } from 'zod';
import { defineTool, STRING } from '../tool.ts';

export const completeTask = defineTool({
  name: 'complete_task',
  title: 'Complete a task',
  description:
    'Hand in the result of the task you work on. Also accepted late, while nobody else has taken the task. The same call again answers the same.',
  operations: ['tasks.complete'],
  input: z.strictObject({
    task_id: CompleteInput.shape.task_id,
    lease_token: HeartbeatInput.shape.lease_token,
    output: TaskResult.shape.output.describe('What you did or found: text or any JSON'),
  }),
  output: { task_id: STRING, status: STRING },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  async run({ output, ...lease }, { ask }) {
    const { task_id, status } = await ask('tasks.complete', {
      ...lease,
      result: { status: 'success', ...(output !== undefined && { output }) },
    });
    return { task_id, status, next: 'This task is done. Call acquire_task for the next one.' };
  },
});
