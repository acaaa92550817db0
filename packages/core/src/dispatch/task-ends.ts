/** Tells those who wait for tasks that one of theirs has finished. */
export class TaskEnds {
  readonly #waiting = new Map<string, Set<() => void>>();

  publish(taskIds: Iterable<string>): void {
    if (this.#waiting.size === 0) return;
    for (const taskId of taskIds) for (const wake of this.#waiting.get(taskId) ?? []) wake();
  }

  publishAll(): void {
    this.publish([...this.#waiting.keys()]);
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
}
