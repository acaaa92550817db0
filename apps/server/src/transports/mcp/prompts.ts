import type { GetPromptResult, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Caller } from '../../caller.ts';
import { mayAsk } from './ask.ts';

const path = z.string().min(1).describe('Absolute path');

/** What people start by name; each ends in calls of the tools, and is for those who may use them. */
export function registerPrompts(server: McpServer, caller: Caller): void {
  if (mayAsk(caller, ['tasks.acquire', 'tasks.complete', 'tasks.fail'])) registerWorkerLoop(server);
  if (mayAsk(caller, ['tasks.createMany', 'tasks.wait'])) registerPlanAndQueue(server);
  if (mayAsk(caller, ['tasks.list', 'tasks.get'])) registerTriageFailed(server);
}

function registerWorkerLoop(server: McpServer): void {
  server.registerPrompt(
    'worker_loop',
    {
      title: 'Work on the queue',
      description: 'Work on the tasks of a path, one after the other, until none is left',
      argsSchema: z.object({ work_path: path, worker_id: z.string().optional().describe('Name of this worker') }),
    },
    ({ work_path, worker_id }) =>
      say(`Work on the task queue of ${work_path} until it is empty.

1. Call acquire_task with ${JSON.stringify({ work_path, wait_seconds: 50, ...(worker_id !== undefined && { worker_id }) })}.
2. If task is null with reason "empty" two times in a row, stop and tell me what you have done. With another reason, call it again.
3. Change to task.work_directory and do what task.prompt says, nothing beyond it. If it may take longer than the lease, call heartbeat_task in between.
4. When it is done and checked, call complete_task; output says what you did, which files changed, and how you checked it.
5. If you cannot do it, call fail_task and say why; retryable: false if nobody could.
6. On LEASE_LOST stop at once with that task. On cancel_requested stop, undo what is half done, and call fail_task.
7. Go to 1.`),
  );
}

function registerPlanAndQueue(server: McpServer): void {
  server.registerPrompt(
    'plan_and_queue',
    {
      title: 'Plan and queue',
      description: 'Split a goal into tasks, submit them, and wait for their results',
      argsSchema: z.object({ goal: z.string().min(1), work_directory: path }),
    },
    ({ goal, work_directory }) =>
      say(`Reach this goal by delegating it to workers of the task queue:

${goal}

1. Look at ${work_directory} as far as you need it for a plan. Split the goal into tasks that one worker can do in less than an hour each. Each prompt must stand alone: the worker sees nothing else. Say what "done" means and how to check it.
2. Tasks that change the same files must not run at the same time: order them with ref and depends_on, or set exclusive.
3. Submit all of them in one call of create_tasks, with work_directory ${JSON.stringify(work_directory)} and an idempotency_key each.
4. Call wait_for_tasks with their task_ids until done is true.
5. Read the results, submit what is missing, and tell me how it stands.`),
  );
}

function registerTriageFailed(server: McpServer): void {
  server.registerPrompt(
    'triage_failed',
    {
      title: 'Triage failed tasks',
      description: 'Find out why tasks of a path failed, and what to do about each',
      argsSchema: z.object({ work_directory: path }),
    },
    ({ work_directory }) =>
      say(`Find out why tasks failed.

1. Call list_tasks with ${JSON.stringify({ work_directory, subtree: true, status: ['failed'], limit: 50 })}.
2. For each call get_task with include ["prompt","error","history","logs"].
3. Group them by cause: wrong or unclear prompt, broken environment, a real defect, bad luck.
4. Propose what to do with each group, and wait for my word. Then submit better tasks with create_tasks; metadata {"retry_of": the failed task_id}. What only needs another try, I can bring back with POST /api/v1/tasks/{task_id}/retry.`),
  );
}

function say(text: string): GetPromptResult {
  return { messages: [{ role: 'user', content: { type: 'text', text } }] };
}
