import { BatchTask } from '@task-orchestrator/contract';
import { z } from 'zod';
import { Holding } from '../holding.ts';
import { defineTool, OBJECTS } from '../tool.ts';

/** So many receipts fit into one answer. */
const MAX_TASKS = 100;

const draft = BatchTask.shape;
const Draft = z.strictObject({
  work_directory: draft.work_directory.describe('Absolute path the work is done in'),
  prompt: draft.prompt.describe('Everything the worker must know: it sees nothing else'),
  priority: draft.priority,
  tags: draft.tags,
  metadata: draft.metadata,
  ref: draft.ref.describe('Name for depends_on in this call'),
  depends_on: draft.depends_on.describe('task_ids or refs that must complete first'),
  exclusive: draft.exclusive.describe('Alone in the directory, its parents and children'),
  idempotency_key: draft.idempotency_key.describe('Repeats with this key create nothing new'),
  max_attempts: draft.max_attempts,
  timeout_seconds: draft.timeout_seconds.describe('For one attempt'),
  run_at: draft.run_at.describe('ISO 8601 time'),
});

export const createTasks = defineTool({
  name: 'create_tasks',
  title: 'Create tasks',
  description: `Submit work for other agents: 1 to ${MAX_TASKS} tasks, all or none. Set idempotency_key so that a repeated call is safe.`,
  operations: ['tasks.createMany'],
  input: z.strictObject({
    tasks: z.array(Draft).min(1).max(MAX_TASKS, `must have at most ${MAX_TASKS} tasks`),
    holding: Holding,
  }),
  output: { tasks: OBJECTS },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
  async run({ tasks }, { ask, traceparent }) {
    const created = await ask('tasks.createMany', { tasks }, { traceparent });
    return {
      tasks: created.tasks.map(({ task_id, status, ref }) => ({ task_id, status, ...(ref !== null && { ref }) })),
      next: 'To learn how they end, call wait_for_tasks with their task_ids.',
    };
  },
});
