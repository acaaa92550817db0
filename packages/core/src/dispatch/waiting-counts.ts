/** How many tasks wait in each path. Kept by a server that is alone: where others write too, the database is asked. */
export class WaitingCounts {
  readonly #counts = new Map<string, number>();

  add(path: string, change: number): void {
    const count = (this.#counts.get(path) ?? 0) + change;
    if (count === 0) this.#counts.delete(path);
    else this.#counts.set(path, count);
  }

  of(path: string): number {
    return this.#counts.get(path) ?? 0;
  }

  paths(): Iterable<string> {
    return this.#counts.keys();
  }
}
