import type { CallOptions } from './call.ts';
import type { OperationTypes } from './wire.ts';

/** How long `tasks.waitFor` waits, and for what. */
export interface WaitForOptions {
  /** Default: `all`. */
  until?: 'any' | 'all' | undefined;
  /** Default: as long as it takes. */
  timeoutSeconds?: number | undefined;
  signal?: AbortSignal | undefined;
}

type Wait = OperationTypes['tasks']['wait'];
/** What `tasks.wait` answers: whether it is `done`, the outcomes of the `finished` tasks, the ids of the `pending` ones. */
export type WaitForResult = Wait['output'];

const LONGEST_WAIT_SECONDS = 30;

/** One long poll after the other. */
export async function waitForTasks(
  wait: (input: Wait['input'], options: CallOptions) => Promise<Wait['output']>,
  taskIds: readonly string[],
  { until = 'all', timeoutSeconds = Infinity, signal }: WaitForOptions = {},
): Promise<WaitForResult> {
  const deadline = performance.now() + timeoutSeconds * 1000;
  for (;;) {
    const leftSeconds = Math.max(0, (deadline - performance.now()) / 1000);
    const wait_seconds = Math.min(LONGEST_WAIT_SECONDS, leftSeconds);
    const answer = await wait({ task_ids: [...taskIds], until, wait_seconds }, { signal });
    if (answer.done || performance.now() >= deadline) return answer;
  }
}
