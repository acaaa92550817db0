import { CancelInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { BOOLEAN, defineTool, STRING } from '../tool.ts';

const { task_id, reason, force } = CancelInput.shape;

export const cancelTask = defineTool({
  name: 'cancel_task',
  title: 'Cancel a task',
  description:
    'Call off a task that somebody else is to do or is doing; its worker is told. Your own you end with fail_task.',
  operations: ['tasks.cancel'],
  input: z.strictObject({ task_id, reason, force }),
  output: { task_id: STRING, status: STRING, cancel_requested: BOOLEAN },
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true },
  async run(args, { ask }) {
    const { task_id, status, cancel_requested } = await ask('tasks.cancel', args);
    const next =
      status === 'cancelled'
        ? 'It is cancelled.'
        : `Its worker has been told. To learn how it ends, call wait_for_tasks {"task_ids":["${task_id}"]}.`;
    return { task_id, status, cancel_requested, next };
  },
});
