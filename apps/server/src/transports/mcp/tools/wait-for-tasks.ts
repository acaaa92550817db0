import { WaitInput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { Holding } from '../holding.ts';
import { BOOLEAN, defineTool, OBJECTS, STRINGS } from '../tool.ts';
import { startWait } from '../waits.ts';
import { MAX_WAIT_SECONDS } from './acquire-task.ts';
import { describeOutcome } from './wait-outcome.ts';

/** So many ids fit into one answer, and into the handle of a wait. */
const MAX_TASKS = 50;

const fields = WaitInput.shape;

export const waitForTasks = defineTool({
  name: 'wait_for_tasks',
  title: 'Wait for tasks',
  description: 'Wait until any or all of up to 50 tasks have finished, and get their results. Costs no polling.',
  operations: ['tasks.wait'],
  input: z.strictObject({
    task_ids: fields.task_ids.max(MAX_TASKS, `must have at most ${MAX_TASKS} tasks`),
    until: fields.until.describe('all unless given'),
    wait_seconds: z.number().min(0).default(MAX_WAIT_SECONDS).describe('At most 50, which is the default'),
    holding: Holding,
  }),
  output: { done: BOOLEAN, finished: OBJECTS, pending: STRINGS },
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true },
  describeWait: ({ wait_seconds, task_ids, until }) => ({
    seconds: Math.min(wait_seconds, MAX_WAIT_SECONDS),
    message: `waiting for ${until} of ${task_ids.length} tasks`,
  }),
  async run({ task_ids, until, wait_seconds }, { ask, signal, takesTasks }) {
    const seconds = Math.min(wait_seconds, MAX_WAIT_SECONDS);
    if (takesTasks && seconds > 0) {
      const now = await ask('tasks.wait', { task_ids, until, wait_seconds: 0 });
      return now.done ? describeOutcome(now) : startWait({ task_ids, until }, now.pending.length, new Date());
    }
    return describeOutcome(await ask('tasks.wait', { task_ids, until, wait_seconds: seconds }, { signal }));
  },
});
