import type { TaskResult, WaitOutput } from '@task-orchestrator/contract';
import type { z } from 'zod';
import { cutJson, RESULT_MAX_CHARS, shorten } from '../cut.ts';
import type { Answer } from '../tool.ts';

/** What the bare bones of an answer take: 50 ids, and what goes around a result. */
const RESERVED_CHARS = 3500;
const PER_TASK_CHARS = 240;

/** How the tasks ended, all of them in one answer: the more there are, the less of each result. */
export function describeOutcome({ done, finished, pending }: z.infer<typeof WaitOutput>): Answer {
  const chars = (RESULT_MAX_CHARS - RESERVED_CHARS) / Math.max(1, finished.length) - PER_TASK_CHARS;
  return {
    done,
    finished: finished.map(({ task_id, status, result, error }) => ({
      task_id,
      status,
      ...(result && { result: cutJson(trimResult(result), chars, readResult(task_id)) }),
      ...(error &&
        status !== 'completed' && { error: `${error.code}: ${shorten(error.message, Math.min(200, chars / 2))}` }),
    })),
    pending,
    next: done
      ? 'Go on with the results. get_task shows more of a task.'
      : `${pending.length} not finished yet: call wait_for_tasks again with the pending task_ids.`,
  };
}

/** What the worker says, without the wrapper when there is nothing else in it. */
function trimResult(result: TaskResult): unknown {
  const { status: _status, output, ...more } = result;
  return Object.keys(more).length === 0 ? (output ?? null) : { output, ...more };
}

function readResult(task_id: string): (offset: number) => string {
  return (offset) => `get_task {"task_id":"${task_id}","include":["result"],"offset":${offset}}`;
}
