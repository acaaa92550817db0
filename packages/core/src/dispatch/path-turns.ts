import TinyQueue from 'tinyqueue';
import { isBelow } from '../domain/path-tree.ts';
import { HIGHEST_RANK, RANKS } from '../domain/priority.ts';
import { LazyQueue, type Key } from './lazy-queue.ts';
import { selectsPath, type Selector } from './selector.ts';

/** Tasks of one path and one rank: where to look, and how many to take at most. */
export interface Turn {
  readonly path: string;
  readonly rank: number;
  readonly quota: number;
  /** The turn is for a task that has waited too long, and for no other. */
  readonly isAged: boolean;
  /** Below this band no task of the path and rank waits in the order of creation. */
  readonly band: number;
  /** Whether tasks of the path and rank may wait out of the order of creation. */
  readonly hasLater: boolean;
  /** Of what is remembered about the path. */
  readonly version: number;
}

/** Where the longest-waiting task may be. */
export interface Head {
  readonly path: string;
  readonly rank: number;
  readonly runAt: number;
  readonly band: number;
  readonly hasLater: boolean;
  readonly version: number;
}

/** Where the first waiting tasks of a path and rank may be found. */
export interface Place {
  /** The earliest `run_at`. */
  readonly runAt: number;
  /** The first band (`bandOf`). */
  readonly band: number;
  /** Whether some may have no band. */
  readonly hasLater: boolean;
}

/** Whether a path and rank is passed over, as such or for its turns of long-waiting tasks. */
export type IsLeftOut = (path: string, rank: number, isAged: boolean) => boolean;

interface PathEntry {
  readonly path: string;
  /** Grows from path to path: paths that came in together are served in that order, as their tasks lie in the database. */
  readonly number: number;
  /** When the path last had its turn, in turns dealt; a path that comes in stands behind those that wait for theirs. */
  lastTurn: number;
  /** Part of its turn that the path has left. */
  deficit: number;
  /** When something was last dealt to the path, and whether that was a turn of a long-waiting task. */
  lastDeal: number;
  wasAged: boolean;
  /** For each rank the earliest `run_at` that may be waiting, or null where nothing is. */
  readonly heads: (number | null)[];
  /** For each rank the first band in which a task may be waiting. */
  readonly bands: number[];
  /** For each rank whether a task without a band may be waiting. */
  readonly later: boolean[];
  /** Changes with each task that became ready here. */
  version: number;
}

/** Paths in the order of their turns. */
interface Line {
  pop(): PathEntry | undefined;
  push(entry: PathEntry): void;
}

/**
 * Whose turn it is when a worker may take from several paths: the path that has gone longest without one takes
 * as many tasks as it weighs (deficit round robin, Shreedhar & Varghese 1996). It remembers which paths may have
 * waiting tasks; the database decides what is there. A path too many costs one look-up, then it is forgotten.
 */
export class PathTurns {
  readonly #entries = new Map<string, PathEntry>();
  /** For each rank all paths that may have a task of it, in the order of their turns; kept from the first time they are needed. */
  readonly #lines: (LazyQueue<PathEntry> | undefined)[] = [];
  /** The same in the order of their longest-waiting tasks. */
  readonly #byAge: (LazyQueue<PathEntry> | undefined)[] = [];
  readonly #weightOf: (path: string) => number;
  readonly #ageingMs: number;
  /** Grows with each task that became ready. */
  version = 0;
  #paths = 0;
  #turns = 0;
  #deals = 0;
  #wasLastDealAged = false;

  /** @param options.ageingMs after this long a task takes every second turn from higher priorities; 0 = never. */
  constructor(options: { weightOf: (path: string) => number; ageingMs: number }) {
    this.#weightOf = options.weightOf;
    this.#ageingMs = options.ageingMs;
  }

  /** @param band of the task (`bandOf`), where the engine has bands. */
  add(path: string, rank: number, runAt: number, band = Infinity): void {
    this.version++;
    let entry = this.#entries.get(path);
    if (!entry) {
      const heads = RANKS.map(() => null);
      const bands = RANKS.map(() => Infinity);
      const later = RANKS.map(() => false);
      const turns = { lastTurn: this.#turns - 0.5, deficit: 0, lastDeal: 0, wasAged: false };
      entry = { path, number: ++this.#paths, ...turns, heads, bands, later, version: 0 };
      this.#entries.set(path, entry);
    }
    entry.version = this.version;
    const head = entry.heads[rank];
    if (head === null || head === undefined || runAt < head) this.#setHead(entry, rank, runAt);
    if (band === Infinity) entry.later[rank] = true;
    else if (band < entry.bands[rank]!) entry.bands[rank] = band;
  }

  /**
   * A look-up showed that no waiting task of the path and rank stands before `place`, or with null that none is
   * waiting. It is not believed if a task has become ready since the turn was dealt.
   * @returns what was remembered before, or null if nothing has changed.
   */
  moveHead({ path, rank, version }: Pick<Turn, 'path' | 'rank' | 'version'>, place: Place | null): Place | null {
    const entry = this.#entries.get(path);
    const runAt = entry?.heads[rank] ?? null;
    if (!entry || runAt === null || entry.version !== version) return null;
    const before = { runAt, band: entry.bands[rank]!, hasLater: entry.later[rank]! };
    this.#setHead(entry, rank, place?.runAt ?? null);
    entry.bands[rank] = place?.band ?? Infinity;
    entry.later[rank] = place?.hasLater ?? false;
    if (entry.heads.every((head) => head === null)) this.#entries.delete(path);
    return before;
  }

  #setHead(entry: PathEntry, rank: number, runAt: number | null): void {
    const before = entry.heads[rank] ?? null;
    entry.heads[rank] = runAt;
    if (runAt === null || (before !== null && before <= runAt)) return;
    this.#lines[rank]?.push(entry);
    this.#byAge[rank]?.push(entry);
  }

  #queueBy(keyOf: (entry: PathEntry) => Key | null): LazyQueue<PathEntry> {
    const queue = new LazyQueue(keyOf);
    for (const entry of this.#entries.values()) queue.push(entry);
    return queue;
  }

  oldest(): Head | null {
    let found: Head | null = null;
    for (const head of this.heads()) if (found === null || head.runAt < found.runAt) found = head;
    return found;
  }

  /** Every path and rank that may have waiting tasks. */
  *heads(): Generator<Head, undefined> {
    for (const { path, heads, bands, later, version } of this.#entries.values()) {
      for (const [rank, runAt] of heads.entries()) {
        if (runAt !== null) yield { path, rank, runAt, band: bands[rank]!, hasLater: later[rank]!, version };
      }
    }
  }

  /** Paths below a directory that may have waiting tasks. */
  pathsBelow(directory: string): string[] {
    return [...this.#entries.keys()].filter((path) => isBelow(path, directory));
  }

  hasAny(selector: Selector): boolean {
    const { paths, subtree } = selector;
    if (paths !== null && !subtree) return paths.some((path) => this.#entries.has(path));
    return !this.#matching(selector).next().done;
  }

  isAged(runAt: number, now: number): boolean {
    return this.#ageingMs > 0 && runAt <= now - this.#ageingMs;
  }

  /**
   * Deals the turns of the next `want` tasks. May deal fewer, never none while a path that matches may have a
   * waiting task: ask again for the rest.
   */
  deal(selector: Selector, want: number, now: number, isLeftOut: IsLeftOut): Turn[] {
    if (selector.paths === null) return this.#dealFromAll(want, now, isLeftOut);
    const entries = [...this.#matching(selector)];
    const rank = topRank(entries, isLeftOut);
    if (rank === null) return [];
    const aged = this.#findAged(entries, rank, now, isLeftOut);
    // Every second turn is for those who have waited too long, so these are dealt one by one.
    if (aged && !wasLastDealAged(entries))
      return [this.#dealTo(aged.entry, { rank: aged.rank, quota: 1, isAged: true })];
    const top = entries.filter(({ path, heads }) => heads[rank] !== null && !isLeftOut(path, rank, false));
    const line = new TinyQueue(
      top,
      (a, b) => a.lastTurn - b.lastTurn || (a.heads[rank] ?? 0) - (b.heads[rank] ?? 0) || a.number - b.number,
    );
    return this.#dealRank(line, rank, aged ? 1 : want);
  }

  /** The same without a look at each path: there may be tens of thousands. */
  #dealFromAll(want: number, now: number, isLeftOut: IsLeftOut): Turn[] {
    for (const rank of RANKS.toReversed()) {
      const all = (this.#lines[rank] ??= this.#queueBy(turnKeyOf(rank)));
      const line = new Passage(all, ({ path }) => isLeftOut(path, rank, false));
      try {
        const first = line.pop();
        if (!first) continue;
        line.push(first);
        const aged = this.#findAgedOfAll(rank, now, isLeftOut);
        if (aged && !this.#wasLastDealAged)
          return [this.#dealTo(aged.entry, { rank: aged.rank, quota: 1, isAged: true })];
        return this.#dealRank(line, rank, aged ? 1 : want);
      } finally {
        line.end();
      }
    }
    return [];
  }

  *#matching(selector: Selector): Generator<PathEntry, undefined> {
    const { paths, subtree } = selector;
    const isExact = paths !== null && !subtree;
    const candidates = isExact ? paths.map((path) => this.#entries.get(path)) : this.#entries.values();
    for (const entry of candidates) if (entry && (isExact || selectsPath(selector, entry.path))) yield entry;
  }

  /** Of paths that came in together, the one whose task has waited longest has its turn first. */
  #dealRank(line: Line, rank: number, want: number): Turn[] {
    const [first, second] = [line.pop()!, line.pop()];
    if (!second) {
      first.lastTurn = ++this.#turns;
      line.push(first);
      return [this.#dealTo(first, { rank, quota: want, isAged: false })];
    }
    line.push(first);
    line.push(second);
    const quotas = new Map<PathEntry, number>();
    for (let left = want; left > 0;) {
      const entry = line.pop()!;
      if (entry.deficit < 1) entry.deficit += this.#weightOf(entry.path);
      const quota = Math.min(Math.floor(entry.deficit), left);
      entry.deficit -= quota;
      left -= quota;
      if (quota > 0) quotas.set(entry, (quotas.get(entry) ?? 0) + quota);
      // Who wants no more leaves a path in the middle of its turn: it goes on with the next.
      if (entry.deficit < 1) entry.lastTurn = ++this.#turns;
      line.push(entry);
    }
    const dealt: Turn[] = [];
    for (const [entry, quota] of quotas) dealt.push(this.#dealTo(entry, { rank, quota, isAged: false }));
    return dealt;
  }

  #dealTo(entry: PathEntry, turn: Pick<Turn, 'rank' | 'quota' | 'isAged'>): Turn {
    entry.lastDeal = ++this.#deals;
    entry.wasAged = turn.isAged;
    this.#wasLastDealAged = turn.isAged;
    const { path, bands, later, version } = entry;
    return { path, band: bands[turn.rank]!, hasLater: later[turn.rank]!, version, ...turn };
  }

  /** The longest-waiting tasks below `rank` that have waited too long. */
  #findAged(
    entries: readonly PathEntry[],
    rank: number,
    now: number,
    isLeftOut: IsLeftOut,
  ): { entry: PathEntry; rank: number } | null {
    if (this.#ageingMs === 0 || rank === 0) return null;
    let oldest = now - this.#ageingMs;
    let found: { entry: PathEntry; rank: number } | null = null;
    for (const entry of entries) {
      for (let lower = 0; lower < rank; lower++) {
        const head = entry.heads[lower] ?? null;
        // Of those that have waited equally long, the one that came in first.
        if (head === null || head > oldest || (found && head === oldest)) continue;
        if (isLeftOut(entry.path, lower, true)) continue;
        oldest = head;
        found = { entry, rank: lower };
      }
    }
    return found;
  }

  #findAgedOfAll(rank: number, now: number, isLeftOut: IsLeftOut): { entry: PathEntry; rank: number } | null {
    if (this.#ageingMs === 0) return null;
    let oldest = now - this.#ageingMs;
    let found: { entry: PathEntry; rank: number } | null = null;
    for (let lower = 0; lower < rank; lower++) {
      const headOf = ({ heads }: PathEntry): number => heads[lower] ?? Infinity;
      const all = (this.#byAge[lower] ??= this.#queueBy(ageKeyOf(lower)));
      const line = new Passage(all, (entry) => headOf(entry) <= oldest && isLeftOut(entry.path, lower, true));
      const entry = line.pop();
      if (entry) line.push(entry);
      line.end();
      if (!entry || headOf(entry) > oldest) continue;
      if (found && headOf(entry) === oldest && entry.number >= found.entry.number) continue;
      oldest = headOf(entry);
      found = { entry, rank: lower };
    }
    return found;
  }
}

/** A line in which some are passed over. They stand in it again after its end. */
class Passage implements Line {
  readonly #queue: LazyQueue<PathEntry>;
  readonly #isPassed: (entry: PathEntry) => boolean;
  readonly #passed: PathEntry[] = [];

  constructor(queue: LazyQueue<PathEntry>, isPassed: (entry: PathEntry) => boolean) {
    this.#queue = queue;
    this.#isPassed = isPassed;
  }

  pop(): PathEntry | undefined {
    let entry = this.#queue.pop();
    for (; entry && this.#isPassed(entry); entry = this.#queue.pop()) this.#passed.push(entry);
    return entry;
  }

  push(entry: PathEntry): void {
    this.#queue.push(entry);
  }

  end(): void {
    for (const entry of this.#passed.splice(0)) this.#queue.push(entry);
  }
}

// The queues keep these: made where a deal is made, they would keep its first one, with its commit.
function turnKeyOf(rank: number): (entry: PathEntry) => Key | null {
  return ({ lastTurn, heads, number }) => {
    const head = heads[rank] ?? null;
    return head === null ? null : [lastTurn, head, number];
  };
}

function ageKeyOf(rank: number): (entry: PathEntry) => Key | null {
  return ({ heads, number }) => {
    const head = heads[rank] ?? null;
    return head === null ? null : [head, number, 0];
  };
}

/** Workers that share no path do not take each other's turns: what counts is what was dealt here last. */
function wasLastDealAged(entries: readonly PathEntry[]): boolean {
  let last = entries[0];
  for (const entry of entries) if (last && entry.lastDeal > last.lastDeal) last = entry;
  return last?.wasAged ?? false;
}

function topRank(entries: readonly PathEntry[], isLeftOut: IsLeftOut): number | null {
  let top: number | null = null;
  for (const { path, heads } of entries) {
    for (let rank = HIGHEST_RANK; rank > (top ?? -1); rank--) {
      if (heads[rank] !== null && !isLeftOut(path, rank, false)) top = rank;
    }
  }
  return top;
}
