import { randomUUID } from 'node:crypto';
import {
  MissingRequiredClientCapabilityError,
  type CallToolResult,
  type ServerContext,
} from '@modelcontextprotocol/server';
import {
  handOutTask,
  takesTasks,
  TASKS_EXTENSION,
  type TaskSource,
  type TaskState,
} from '../../../src/transports/mcp/tasks-extension.ts';
import { fixture, text, type Fixture } from './fixture.ts';
import { answerTo, ask, askFor } from './input-fixtures.ts';

interface Job {
  createdAt: string;
  lastUpdatedAt: string;
  state: TaskState;
  onAnswers?: (responses: Readonly<Record<string, unknown>>) => void;
  timer?: NodeJS.Timeout;
}

const jobs = new Map<string, Job>();

/** Work that goes on after the call, kept in memory. */
export const jobSource: TaskSource = {
  createdAt: (taskId) => jobs.get(taskId)?.createdAt,
  get: (taskId) => Promise.resolve(jobs.get(taskId)!.state),
  update: (taskId, responses) => jobs.get(taskId)?.onAnswers?.(responses),
  cancel(taskId) {
    const job = jobs.get(taskId);
    if (job?.state.status !== 'working' && job?.state.status !== 'input_required') return;
    clearTimeout(job.timer);
    move(job, { status: 'cancelled' });
  },
};

export const jobFixtures: readonly Fixture[] = [
  fixture('greet', ({ name }) => text(`Hello, ${String(name)}!`)),
  fixture('slow_compute', ({ seconds }, context) =>
    // A client that takes no handle gets the result itself.
    !takesTasks(context)
      ? text('computed')
      : start(context, (job) =>
          finishLater(job, Number(seconds) * 1000, { status: 'completed', result: text('computed') }),
        ),
  ),
  fixture('failing_job', (_args, context) =>
    start(context, (job) =>
      finishLater(job, 1000, { status: 'completed', result: { ...text('failed'), isError: true } }),
    ),
  ),
  fixture('protocol_error_job', (_args, context) =>
    start(context, (job) => finishLater(job, 10, { status: 'failed', error: { code: -32_603, message: 'broke' } })),
  ),
  fixture('confirm_delete', (_args, context) => start(context, (job) => askUntilAnswered(job, ['confirm']))),
  fixture('test_tool_with_task', (_args, context) => {
    const given = answerTo(context, 'user');
    if (!given) return ask({ user: askFor('What is your name?', 'name') });
    return start(context, (job) => finishLater(job, 10, { status: 'completed', result: text(String(given['name'])) }));
  }),
  fixture('multi_input', (_args, context) => start(context, (job) => askUntilAnswered(job, ['first', 'second']))),
];

function start(context: ServerContext, begin: (job: Job) => void): CallToolResult {
  if (!takesTasks(context)) {
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [TASKS_EXTENSION]: {} } } });
  }
  const now = new Date().toISOString();
  const taskId = randomUUID();
  const job: Job = { createdAt: now, lastUpdatedAt: now, state: { status: 'working', lastUpdatedAt: now } };
  jobs.set(taskId, job);
  begin(job);
  return handOutTask(taskId, now, { status: 'working', lastUpdatedAt: now });
}

type Step = TaskState extends infer State ? (State extends TaskState ? Omit<State, 'lastUpdatedAt'> : never) : never;

function move(job: Job, step: Step): void {
  job.lastUpdatedAt = new Date().toISOString();
  job.state = { ...step, lastUpdatedAt: job.lastUpdatedAt };
}

function finishLater(job: Job, ms: number, end: Step): void {
  job.timer = setTimeout(() => move(job, end), ms).unref();
}

function askUntilAnswered(job: Job, keys: readonly string[]): void {
  const open = new Set(keys);
  const wait = () =>
    move(job, {
      status: 'input_required',
      inputRequests: Object.fromEntries([...open].map((key) => [key, askFor(`Answer ${key}`, 'confirm', 'yes or no')])),
    });
  wait();
  job.onAnswers = (responses) => {
    for (const key of Object.keys(responses)) open.delete(key);
    if (open.size > 0) wait();
    else if (job.state.status === 'input_required') move(job, { status: 'completed', result: text('answered') });
  };
}
