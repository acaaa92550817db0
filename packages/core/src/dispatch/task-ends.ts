import type { Change } from '../commit/commit.ts';
import { isFinished } from '../domain/task-state.ts';

/** Tells those who wait for tasks that one of theirs has finished. */
export class TaskEnds {
  readonly #waiting = new Map<string, Set<() => void>>();

  publish(changes: readonly Change[]): void {
    if (this.#waiting.size === 0) return;
    for (const { task } of changes) if (isFinished(task.status)) this.#wake(task.task_id);
  }

  publishAll(): void {
    for (const taskId of this.#waiting.keys()) this.#wake(taskId);
  }

  /** Calls `wake` whenever one of the tasks finishes, until the returned function is called. */
  subscribe(taskIds: readonly string[], wake: () => void): () => void {
    for (const taskId of taskIds) {
      const wakes = this.#waiting.get(taskId) ?? new Set();
      this.#waiting.set(taskId, wakes.add(wake));
    }
    return () => {
      for (const taskId of taskIds) {
        const wakes = this.#waiting.get(taskId);
        wakes?.delete(wake);
        if (wakes?.size === 0) this.#waiting.delete(taskId);
      }
    };
  }

  #wake(taskId: string): void {
    for (const wake of this.#waiting.get(taskId) ?? []) wake();
  }
}
