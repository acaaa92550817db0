import TinyQueue from 'tinyqueue';
import { HIGHEST_RANK } from '../domain/priority.ts';
import { selectsPath, type Selector } from './selector.ts';

/** Tasks of one path and one rank: where to look, and how many to take at most. */
export interface Turn {
  readonly path: string;
  readonly rank: number;
  readonly quota: number;
}

interface PathEntry {
  readonly path: string;
  /** When the path last had its turn, in turns dealt; 0 for a path that has come in since. */
  lastTurn: number;
  /** Part of a task that the path may still take, for weights that are not whole. */
  deficit: number;
  /** For each rank the earliest `run_at` that may be waiting, or null where nothing is. */
  readonly heads: (number | null)[];
}

/**
 * Whose turn it is when a worker may take from several paths: the path that has gone longest without one takes
 * as many tasks as it weighs (deficit round robin, Shreedhar & Varghese 1996). It remembers which paths may have
 * waiting tasks; the database decides what is there. A path too many costs one look-up, then it is forgotten.
 */
export class PathTurns {
  readonly #entries = new Map<string, PathEntry>();
  readonly #weightOf: (path: string) => number;
  readonly #ageingMs: number;
  /** Grows with each task that became ready. */
  version = 0;
  #turns = 0;
  #isAgedTurn = false;

  /** @param options.ageingMs after this long a task takes every second turn from higher priorities; 0 = never. */
  constructor(options: { weightOf: (path: string) => number; ageingMs: number }) {
    this.#weightOf = options.weightOf;
    this.#ageingMs = options.ageingMs;
  }

  add(path: string, rank: number, runAt: number): void {
    this.version++;
    let entry = this.#entries.get(path);
    if (!entry) {
      entry = { path, lastTurn: 0, deficit: 0, heads: [null, null, null] };
      this.#entries.set(path, entry);
    }
    const head = entry.heads[rank];
    if (head === null || head === undefined || runAt < head) entry.heads[rank] = runAt;
  }

  /** A look-up found fewer tasks than it asked for. */
  markEmpty(path: string, rank: number): void {
    const entry = this.#entries.get(path);
    if (!entry) return;
    entry.heads[rank] = null;
    if (entry.heads.every((head) => head === null)) this.#entries.delete(path);
  }

  /** A look-up showed that no waiting task of the path and rank is older than `runAt`. */
  moveHead(path: string, rank: number, runAt: number): void {
    const entry = this.#entries.get(path);
    if (entry && entry.heads[rank] !== null) entry.heads[rank] = runAt;
  }

  /** Where the longest-waiting task may be, by what is remembered. */
  oldest(): { path: string; rank: number; runAt: number } | null {
    let found: { path: string; rank: number; runAt: number } | null = null;
    for (const { path, heads } of this.#entries.values()) {
      heads.forEach((runAt, rank) => {
        if (runAt !== null && (found === null || runAt < found.runAt)) found = { path, rank, runAt };
      });
    }
    return found;
  }

  hasAny(selector: Selector): boolean {
    return this.#matching(selector, () => false).length > 0;
  }

  /**
   * Deals the turns of the next `want` tasks. May deal fewer, never none while a path that matches may have a
   * waiting task: ask again for the rest.
   */
  deal(selector: Selector, want: number, now: number, isExcluded: (path: string) => boolean): Turn[] {
    const entries = this.#matching(selector, isExcluded);
    if (entries.length === 0) return [];
    const rank = Math.max(...topRanks(entries));
    const aged = this.#findAged(entries, rank, now);
    if (aged) {
      // Every second turn is for those who have waited too long, so these are dealt one by one.
      this.#isAgedTurn = !this.#isAgedTurn;
      if (this.#isAgedTurn) return [{ ...aged, quota: 1 }];
    }
    const top = entries.filter(({ heads }) => heads[rank] !== null);
    return this.#dealRank(top, rank, aged ? 1 : want);
  }

  #matching(selector: Selector, isExcluded: (path: string) => boolean): PathEntry[] {
    const { paths, subtree } = selector;
    const isExact = paths !== null && !subtree;
    const candidates = isExact ? paths.map((path) => this.#entries.get(path)) : this.#entries.values();
    const found: PathEntry[] = [];
    for (const entry of candidates) {
      if (entry && (isExact || selectsPath(selector, entry.path)) && !isExcluded(entry.path)) found.push(entry);
    }
    return found;
  }

  #dealRank(entries: readonly PathEntry[], rank: number, want: number): Turn[] {
    const [only] = entries;
    if (only && entries.length === 1) {
      only.lastTurn = ++this.#turns;
      return [{ path: only.path, rank, quota: want }];
    }
    const queue = new TinyQueue([...entries], (a, b) => a.lastTurn - b.lastTurn);
    const quotas = new Map<string, number>();
    for (let left = want; left > 0;) {
      const entry = queue.pop()!;
      entry.lastTurn = ++this.#turns;
      entry.deficit += this.#weightOf(entry.path);
      const quota = Math.min(Math.floor(entry.deficit), left);
      entry.deficit = left === quota ? 0 : entry.deficit - quota;
      left -= quota;
      if (quota > 0) quotas.set(entry.path, (quotas.get(entry.path) ?? 0) + quota);
      queue.push(entry);
    }
    return [...quotas].map(([path, quota]) => ({ path, rank, quota }));
  }

  /** The longest-waiting tasks below `rank` that have waited too long. */
  #findAged(entries: readonly PathEntry[], rank: number, now: number): { path: string; rank: number } | null {
    if (this.#ageingMs === 0 || rank === 0) return null;
    let oldest = now - this.#ageingMs;
    let found: { path: string; rank: number } | null = null;
    for (const { path, heads } of entries) {
      for (let lower = 0; lower < rank; lower++) {
        const head = heads[lower];
        if (head === null || head === undefined || head > oldest) continue;
        oldest = head;
        found = { path, rank: lower };
      }
    }
    return found;
  }
}

function topRanks(entries: readonly PathEntry[]): Iterable<number> {
  return new Set(entries.map(({ heads }) => topRank(heads)));
}

function topRank(heads: readonly (number | null)[]): number {
  for (let rank = HIGHEST_RANK; rank > 0; rank--) if (heads[rank] !== null) return rank;
  return 0;
}
