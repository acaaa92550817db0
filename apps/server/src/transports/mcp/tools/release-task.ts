import { ReleaseInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { defineTool, STRING } from '../tool.ts';

const { task_id, lease_token, reason } = ReleaseInput.shape;

export const releaseTask = defineTool({
  name: 'release_task',
  title: 'Release a task',
  description: 'Give the task you hold back untouched, for another worker, at once; the attempt does not count.',
  operations: ['tasks.release'],
  input: z.strictObject({ task_id, lease_token, reason }),
  output: { task_id: STRING, status: STRING },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true },
  async run(args, { ask }) {
    const { task_id, status } = await ask('tasks.release', args);
    return { task_id, status, next: 'The task is no longer yours. Call acquire_task for other work.' };
  },
});
