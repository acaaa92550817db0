import { TaskIdInput, type Task } from '@task-orchestrator/contract';
import { z } from 'zod';
import type { Ask } from '../ask.ts';
import { cutJson, cutText, RESULT_MAX_CHARS, shorten, toTitle } from '../cut.ts';
import { Holding } from '../holding.ts';
import { readLogTail } from '../log-tail.ts';
import { defineTool, OBJECT } from '../tool.ts';

const PARTS = ['prompt', 'result', 'error', 'metadata', 'logs', 'history'] as const;
type Part = (typeof PARTS)[number];

/** The facts without any part: ids, times, a path of 4,096 characters. */
const FACTS_CHARS = 7000;
const HISTORY_LENGTH = 40;

export const getTask = defineTool({
  name: 'get_task',
  title: 'Get a task',
  description: 'See how one task stands. Name what else you need in include; logs are its end.',
  operations: ['tasks.get', 'tasks.logs', 'tasks.events'],
  input: z.strictObject({
    task_id: TaskIdInput.shape.task_id,
    include: z.array(z.enum(PARTS)).default([]),
    offset: z.int().min(0).default(0).describe('Where a part that was cut goes on'),
    holding: Holding,
  }),
  output: { task: OBJECT },
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true },
  async run({ task_id, include, offset }, { ask }) {
    const task = await ask('tasks.get', { task_id });
    const parts = [...new Set(include)];
    const chars = Math.floor((RESULT_MAX_CHARS - FACTS_CHARS) / Math.max(1, parts.length)) - 250;
    const read = await Promise.all(
      parts.map(async (part) => [part, await readPart(part, { task, ask, chars, offset })] as const),
    );
    return { task: { ...describeFacts(task), ...Object.fromEntries(read) }, next: nextFor(task) };
  },
});

async function readPart(
  part: Part,
  { task, ask, chars, offset }: { task: Task; ask: Ask; chars: number; offset: number },
): Promise<unknown> {
  const { task_id } = task;
  const more = (from: number) => `get_task {"task_id":"${task_id}","include":["${part}"],"offset":${from}}`;
  switch (part) {
    case 'prompt':
      return cutText(task.prompt, chars, more, offset);
    case 'result':
      return cutJson(task.result, chars, more, offset);
    case 'error':
      return cutJson(task.error, chars, more, offset);
    case 'metadata':
      return cutJson(task.metadata, chars, more, offset);
    case 'logs':
      return readLogTail(ask, task_id, chars);
    case 'history':
      return readHistory(ask, task_id, chars);
  }
}

/** The latest events that fit: who had the task, and why it came back. */
async function readHistory(ask: Ask, task_id: string, chars: number): Promise<string[]> {
  const { events } = await ask('tasks.events', { task_id, limit: 1000 });
  const lines = events.slice(-HISTORY_LENGTH).map(({ at, type, attempt, worker_id, data }) => {
    const why = data === null ? '' : ` ${shorten(JSON.stringify(data), 300)}`;
    return `${at} ${type} attempt ${attempt}${worker_id === null ? '' : ` ${shorten(worker_id, 60)}`}${why}`;
  });
  while (JSON.stringify(lines).length > chars) lines.shift();
  return lines;
}

function describeFacts(task: Task): Record<string, unknown> {
  const { progress, error } = task;
  return {
    task_id: task.task_id,
    status: task.status,
    title: toTitle(task.prompt),
    work_directory: task.work_directory,
    priority: task.priority,
    tags: task.tags.slice(0, 10),
    attempt: task.attempt,
    max_attempts: task.max_attempts,
    created_at: task.created_at,
    ...(task.status === 'scheduled' && { run_at: task.run_at }),
    ...(task.worker_id !== null && { worker_id: shorten(task.worker_id, 100) }),
    ...(task.started_at !== null && { started_at: task.started_at }),
    ...(task.finished_at !== null && { finished_at: task.finished_at }),
    ...(task.lease_expires_at !== null && { lease_expires_at: task.lease_expires_at }),
    ...(task.cancel_requested && { cancel_requested: true }),
    ...(progress && { progress: { percent: progress.percent, message: shorten(progress.message ?? '', 200) } }),
    ...(task.status === 'blocked' && { depends_on: task.depends_on.slice(0, 20) }),
    ...(error && { error: `${shorten(error.code, 60)}: ${shorten(error.message, 300)}` }),
  };
}

function nextFor({ task_id, status }: Task): string {
  switch (status) {
    case 'blocked':
    case 'scheduled':
    case 'waiting':
    case 'working':
      return `To learn how it ends, call wait_for_tasks {"task_ids":["${task_id}"]}.`;
    case 'completed':
      return 'It is done; include ["result"] shows the result.';
    case 'failed':
      return 'It is over; include ["error","history","logs"] shows why. create_tasks can submit the work anew.';
    case 'cancelled':
      return 'It is over. create_tasks can submit the work anew.';
  }
}
