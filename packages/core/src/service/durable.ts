import type { CommitQueue } from '../commit/commit-queue.ts';
import type { Operations } from '../core-api.ts';

/** The same operations, each settling once what it has written, or seen, is durable. */
export function durable(operations: Operations, commits: CommitQueue): Operations {
  return { ...wrapEach(operations, commits), keys: wrapEach(operations.keys, commits) };
}

/** What is no promise, or no function, stays as it is. */
function wrapEach<Members extends object>(members: Members, commits: CommitQueue): Members {
  const wrapped = Object.entries(members).map(([name, member]: [string, unknown]) => {
    if (typeof member !== 'function') return [name, member];
    const call = (...args: unknown[]): unknown => {
      const result: unknown = member(...args);
      return result instanceof Promise ? commits.durably(result, (value) => value) : result;
    };
    return [name, call];
  });
  return Object.fromEntries(wrapped) as Members;
}
