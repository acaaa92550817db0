import type { AcquiredTask } from './wire.ts';

/** Makes calls and handlers part of traces; `@task-orchestrator/client/opentelemetry` has the one for OpenTelemetry. */
export interface Tracing {
  /** The trace that is going on here, in the form of W3C Trace Context; undefined when there is none. */
  traceparent(): string | undefined;
  /** Runs the handler of a task as a part of the trace that the task was created in, and answers what it answers. */
  process(task: AcquiredTask, handle: () => unknown): Promise<unknown>;
}

type Fields = Readonly<Record<string, unknown>>;

/** Each task that is created keeps its own trace: calls of several traces may share a request, and so its header. */
export function traceCreated(path: string, input: Fields, tracing: Tracing): Fields {
  const traceparent = tracing.traceparent();
  if (traceparent === undefined) return input;
  const { tasks } = input;
  if (path === 'tasks.create') return withTrace(input, traceparent);
  if (path !== 'tasks.createMany' || !Array.isArray(tasks)) return input;
  return { ...input, tasks: tasks.map((task: Fields) => withTrace(task, traceparent)) };
}

function withTrace(task: Fields, traceparent: string): Fields {
  return { ...task, metadata: { traceparent, ...(task['metadata'] as Fields | undefined) } };
}
