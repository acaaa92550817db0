import type { EventType, StreamInput, TaskEvent } from '@task-orchestrator/contract';
import type { Change } from '../commit/commit.ts';
import type { EventHorizon } from '../db/engine.ts';
import { isBelow } from '../domain/path-tree.ts';
import { isInScope, type Scope } from '../domain/scope.ts';

/** What a reader asks for, and what it may see of that. */
export type EventFilter = StreamInput & { readonly scope?: Scope };

interface Subscriber {
  readonly filter: EventFilter;
  readonly wake: () => void;
}

/**
 * Tells streams when there is something for them to read. It holds no events: a stream reads from the database at
 * its own pace, so a slow one costs no more than a page.
 */
export class EventFeed {
  readonly #subscribers = new Set<Subscriber>();
  #isClosed = false;
  /** Grows with everything that may have brought new events. */
  version = 0;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Wakes the streams that one of the changes is for. */
  publish(changes: readonly Change[]): void {
    this.version++;
    if (this.#subscribers.size === 0) return;
    const types = new Set(changes.map(({ type }) => type));
    this.#wakeEach((filter) => {
      const wanted = wantedTypes(filter);
      if (wanted !== null && !wanted.some((type) => types.has(type))) return false;
      return changes.some((change) => (wanted?.includes(change.type) ?? true) && isOfInterest(filter, change));
    });
  }

  /** Wakes the streams that events of these types, of which no more is known, may be for. */
  publishTypes(types: readonly EventType[]): void {
    this.version++;
    this.#wakeEach((filter) => wantedTypes(filter)?.some((type) => types.includes(type)) ?? true);
  }

  publishAll(): void {
    this.version++;
    this.#wakeEach(() => true);
  }

  /** Resolves when an event may match, after `netMs`, when `signal` aborts or when the feed closes. */
  next(filter: EventFilter, netMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(net);
        signal.removeEventListener('abort', wake);
        this.#subscribers.delete(subscriber);
        resolve();
      };
      const net = setTimeout(wake, netMs);
      const subscriber = { filter, wake };
      this.#subscribers.add(subscriber);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted || this.#isClosed) wake();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeEach(() => true);
  }

  #wakeEach(isMeant: (filter: EventFilter) => boolean): void {
    for (const { filter, wake } of this.#subscribers) if (isMeant(filter)) wake();
  }
}

/** Null: all of them. */
export function wantedTypes({ type }: StreamInput): readonly EventType[] | null {
  return type === undefined ? null : [type].flat();
}

function isOfInterest(filter: EventFilter, { task }: Change): boolean {
  if (!isInScope(task.work_directory, filter.scope)) return false;
  if (filter.worker_id !== undefined && filter.worker_id !== task.worker_id) return false;
  if (filter.task_id !== undefined && filter.task_id !== task.task_id) return false;
  if (filter.status !== undefined && filter.status !== task.status) return false;
  const directory = filter.work_directory;
  if (directory === undefined || directory === task.work_directory) return true;
  return filter.subtree === true && isBelow(task.work_directory, directory);
}

/** What a stream reads from. */
export interface EventSource {
  /** Events after one position and up to another that match, oldest first. */
  read(page: { filter: EventFilter; after: number; upTo: number; limit: number }): Promise<TaskEvent[]>;
  horizon(): Promise<EventHorizon>;
}

const PAGE = 200;
/** What is written but not yet settled will be in a moment. */
const BEHIND_MS = 20;

/** The events of a filter in their order, from after `start`, for as long as the reader wants. */
export async function* followEvents(
  feed: EventFeed,
  source: EventSource,
  options: { filter: EventFilter; start: number; netMs: number; signal: AbortSignal },
): AsyncGenerator<TaskEvent, void, undefined> {
  const { filter, netMs, signal } = options;
  let position = options.start;
  while (!signal.aborted && !feed.isClosed) {
    const { version } = feed;
    const { settled: upTo, drawn } = await source.horizon();
    if (upTo > position) {
      const events = await source.read({ filter, after: position, upTo, limit: PAGE });
      yield* events;
      // Nothing up to the horizon is left out, whether or not it was of interest.
      position = events.length < PAGE ? upTo : Number(events.at(-1)!.event_id);
    } else if (feed.version === version) {
      await feed.next(filter, drawn > upTo ? BEHIND_MS : netMs, signal);
    }
  }
}
