import type { WaitInput, WaitOutput } from '@task-orchestrator/contract';
import type { z } from 'zod';
import { isFinished } from '../domain/task-state.ts';
import { getOutcomes } from '../repository/read-tasks.ts';
import type { CoreContext } from './context.ts';
import { endOfWait, untilNextLook } from './waiting.ts';

/** Answers once any or all of the tasks have finished, or the time is up. */
export async function waitForTasks(
  context: CoreContext,
  input: WaitInput,
  signal: AbortSignal | undefined,
): Promise<z.infer<typeof WaitOutput>> {
  const end = endOfWait(input.wait_seconds * 1000);
  const stop = signal ? AbortSignal.any([signal, context.ending]) : context.ending;
  for (;;) {
    // Listens before it looks: a task that finishes in between is not missed.
    const { promise: finished, resolve: wake } = Promise.withResolvers<void>();
    const unsubscribe = context.ends.subscribe(input.task_ids, wake);
    const stopWaiting = (): void => wake();
    stop.addEventListener('abort', stopWaiting, { once: true });
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = judge(await getOutcomes(context.engine.reader, context.cipher, input.task_ids), input.until);
      if (answer.done || performance.now() >= end || stop.aborted) return answer;
      timer = setTimeout(wake, untilNextLook(context, end));
      await finished;
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', stopWaiting);
      unsubscribe();
    }
  }
}

function judge(outcomes: z.infer<typeof WaitOutput>['finished'], until: 'any' | 'all'): z.infer<typeof WaitOutput> {
  const finished = outcomes.filter(({ status }) => isFinished(status));
  const pending = outcomes.filter(({ status }) => !isFinished(status)).map(({ task_id }) => task_id);
  return { done: until === 'any' ? finished.length > 0 : pending.length === 0, finished, pending };
}
