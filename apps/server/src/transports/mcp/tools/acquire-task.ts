import { AcquireInput, type AcquiredTask, type AcquireOutput } from '@task-orchestrator/contract';
import { z } from 'zod';
import { cutJson, cutText, RESULT_MAX_CHARS } from '../cut.ts';
import { defineTool, NUMBER, STRING, type Answer, type ToolCall } from '../tool.ts';

/** Clients give a call up after a minute. */
export const MAX_WAIT_SECONDS = 50;
/** A model cannot heartbeat while it thinks or runs the tests. */
export const DEFAULT_LEASE_SECONDS = 600;

/** What the marker of a cut takes. */
const MARKER_CHARS = 250;
/** Even beside a path of nothing but control characters. */
const MIN_PROMPT_CHARS = 500;

const fields = AcquireInput.shape;

export const acquireTask = defineTool({
  name: 'acquire_task',
  title: 'Acquire a task',
  description:
    'Take the next task of a path to work on it yourself. You hold it under a lease (600 s unless lease_seconds); heartbeat_task renews it. Then do what task.prompt says in task.work_directory, and call complete_task or fail_task. task: null means nothing to do now.',
  operations: ['tasks.acquire'],
  input: z.strictObject({
    work_path: AcquireInput.shape.work_path.unwrap().describe('Absolute path'),
    subtree: fields.subtree.describe('Also every directory below'),
    tags_any: fields.tags_any.describe('Only tasks with one of these'),
    wait_seconds: z.number().min(0).default(0).describe('Wait for a task, at most 50'),
    lease_seconds: fields.lease_seconds,
    worker_id: fields.worker_id.optional().describe('Your name, always the same'),
    acquire_id: fields.acquire_id.describe('Unique; the same id again answers the same task'),
  }),
  output: {
    task: { type: ['object', 'null'] },
    lease_token: STRING,
    lease_expires_at: STRING,
    renew: STRING,
    reason: STRING,
    retry_after_seconds: NUMBER,
  },
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false },
  describeWait: ({ wait_seconds, work_path }) => ({
    seconds: Math.min(wait_seconds, MAX_WAIT_SECONDS),
    message: `no task yet on ${work_path}`,
  }),
  async run({ worker_id, wait_seconds, lease_seconds = DEFAULT_LEASE_SECONDS, ...wanted }, call) {
    const acquired = await call.ask(
      'tasks.acquire',
      {
        ...wanted,
        lease_seconds,
        worker_id: worker_id ?? `mcp:${call.clientName ?? 'agent'}`.slice(0, 200),
        wait_seconds: Math.min(wait_seconds, MAX_WAIT_SECONDS),
      },
      { signal: call.signal },
    );
    const [task] = acquired.tasks;
    return task ? describeTask(task, call) : describeEmpty(acquired, wanted.work_path);
  },
});

function describeTask(task: AcquiredTask, { baseUrl }: ToolCall): Answer {
  const { task_id, lease_token, lease_expires_at, metadata, error } = task;
  const more = (what: string) => (offset: number) =>
    `get_task {"task_id":"${task_id}","include":["${what}"],"offset":${offset}}`;
  const answer = {
    task: {
      task_id,
      work_directory: task.work_directory,
      prompt: '',
      priority: task.priority,
      tags: task.tags,
      ...(Object.keys(metadata).length > 0 && { metadata: cutJson(metadata, 2500, more('metadata')) }),
      attempt: task.attempt,
      max_attempts: task.max_attempts,
      timeout_seconds: task.timeout_seconds,
      lease_epoch: task.lease_epoch,
      ...(error && { last_error: { ...error, message: cutText(error.message, 1000, more('error')) } }),
    },
    lease_token,
    lease_expires_at,
    renew: describeRenewal(task_id, lease_token, baseUrl),
    next: `Do the work now. Then call complete_task with this task_id and lease_token, or fail_task, or release_task. If it takes longer than until ${lease_expires_at}, call heartbeat_task before.`,
  };
  const left = Math.max(MIN_PROMPT_CHARS, RESULT_MAX_CHARS - JSON.stringify(answer).length - MARKER_CHARS);
  return { ...answer, task: { ...answer.task, prompt: cutText(task.prompt, left, more('prompt')) } };
}

/** A hook or wrapper script can keep the lease alive while the model is busy. */
function describeRenewal(task_id: string, lease_token: string, baseUrl: string | undefined): string {
  const call = `heartbeat_task {"task_id":"${task_id}","lease_token":"${lease_token}"}`;
  if (baseUrl === undefined) return call;
  return `${call}; from a script: curl -X POST ${baseUrl}/api/v1/tasks/${task_id}/heartbeat -H "Authorization: Bearer $TORC_API_KEY" -H "Content-Type: application/json" -d '{"lease_token":"${lease_token}"}'; in the SDK: client.tasks.heartbeat`;
}

function describeEmpty({ reason = 'empty', retry_after_seconds = 10 }: AcquireOutput, work_path: string): Answer {
  const again = `call acquire_task again with wait_seconds ${MAX_WAIT_SECONDS}, or stop if you are to stop when there is no work.`;
  const why = {
    empty: `No task is ready on ${work_path}`,
    paused: `${work_path} is paused by its owner`,
    path_busy: 'Tasks are waiting, but one that is running keeps them off',
    limit: 'As many tasks are running as the server allows',
  }[reason];
  return { task: null, reason, retry_after_seconds, next: `${why}: ${again}` };
}
