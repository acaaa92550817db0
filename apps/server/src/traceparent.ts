/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace that a caller is in, when it is well written; whoever sends nonsense is not in any. */
export function findTraceparent(value: unknown): string | undefined {
  return typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined;
}

/** The trace goes with a task to its worker, in the task's metadata; one that the caller has put there stays. */
export function withTrace<Task extends { metadata: Record<string, unknown> }>(
  task: Task,
  traceparent: string | undefined,
): Task {
  return traceparent === undefined ? task : { ...task, metadata: { traceparent, ...task.metadata } };
}
