import { ListInput, TaskStatus, type Task } from '@task-orchestrator/contract';
import { z } from 'zod';
import { shorten, toTitle } from '../cut.ts';
import { Holding } from '../holding.ts';
import { defineTool, NUMBER, OBJECTS } from '../tool.ts';

const MAX_ROWS = 50;

const fields = ListInput.shape;

export const listTasks = defineTool({
  name: 'list_tasks',
  title: 'List tasks',
  description: 'Find tasks, newest first: one short row each, never the prompt.',
  operations: ['tasks.list'],
  input: z.strictObject({
    work_directory: fields.work_directory.describe('Absolute path'),
    subtree: fields.subtree.describe('Also everything below'),
    status: z.array(TaskStatus).min(1).optional(),
    tag: fields.tag,
    worker_id: fields.worker_id,
    limit: z.int().min(1).default(20).describe('At most 50'),
    cursor: fields.cursor.describe('next_cursor of the page before'),
    holding: Holding,
  }),
  output: { tasks: OBJECTS, total: NUMBER, next_cursor: { type: ['string', 'null'] } },
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true },
  async run({ limit, holding: _holding, ...filter }, { ask }) {
    const { tasks, total, next_cursor } = await ask('tasks.list', { ...filter, limit: Math.min(limit, MAX_ROWS) });
    return {
      tasks: tasks.map(toRow),
      ...(total !== undefined && { total }),
      next_cursor,
      next: nextFor(tasks.length, next_cursor),
    };
  },
});

/** What a list shows of a task. */
export function toRow(task: Task): Record<string, unknown> {
  return {
    task_id: task.task_id,
    status: task.status,
    priority: task.priority,
    title: toTitle(task.prompt),
    work_directory: shorten(task.work_directory, 100),
    created_at: task.created_at,
    ...(task.status === 'working' && task.worker_id !== null && { worker_id: shorten(task.worker_id, 40) }),
  };
}

function nextFor(count: number, next_cursor: string | null): string {
  if (count === 0) return 'No task matches. Widen the filter, or submit work with create_tasks.';
  return next_cursor === null
    ? 'That is all. get_task shows one of them.'
    : 'There are more: call list_tasks again with cursor = next_cursor.';
}
