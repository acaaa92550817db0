import type { StreamInput, TaskEvent } from '@task-orchestrator/contract';
import type { Change } from '../commit/commit.ts';
import { isBelow } from '../domain/path-tree.ts';

interface Subscriber {
  readonly filter: StreamInput;
  readonly wake: () => void;
}

/**
 * Tells streams when there is something for them to read. It holds a position and no events: a stream reads from
 * the database at its own pace, so a slow one costs nothing.
 */
export class EventFeed {
  readonly #subscribers = new Set<Subscriber>();
  /** Key of the newest event that may be read. */
  position: number;
  #isClosed = false;

  constructor(position: number) {
    this.position = position;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  publish(changes: readonly Change[], position: number): void {
    for (const subscriber of [...this.#subscribers]) {
      if (changes.some((change) => isOfInterest(subscriber.filter, change))) subscriber.wake();
    }
    this.position = position;
  }

  /** Resolves with the position from which to read on, once an event matches `filter`, `signal` aborts or the feed closes. */
  next(filter: StreamInput, signal: AbortSignal): Promise<number> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#subscribers.delete(subscriber);
        // Nothing before this position was of interest, or the stream would have been woken for it.
        resolve(this.position);
      };
      const subscriber = { filter, wake };
      this.#subscribers.add(subscriber);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted || this.#isClosed) wake();
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const { wake } of [...this.#subscribers]) wake();
  }
}

function isOfInterest(filter: StreamInput, { type, task }: Change): boolean {
  if (filter.type !== undefined && filter.type !== type) return false;
  if (filter.worker_id !== undefined && filter.worker_id !== task.worker_id) return false;
  if (filter.task_id !== undefined && filter.task_id !== task.task_id) return false;
  if (filter.status !== undefined && filter.status !== task.status) return false;
  const directory = filter.work_directory;
  if (directory === undefined || directory === task.work_directory) return true;
  return filter.subtree === true && isBelow(task.work_directory, directory);
}

/** Reads a page of events after `after` and up to `upTo`. */
export type ReadEvents = (page: {
  filter: StreamInput;
  after: number;
  upTo: number;
  limit: number;
}) => Promise<TaskEvent[]>;

const PAGE = 200;

/** The events of a filter in their order, from after `start`, for as long as the reader wants. */
export async function* followEvents(
  feed: EventFeed,
  read: ReadEvents,
  { filter, start, signal }: { filter: StreamInput; start: number; signal: AbortSignal },
): AsyncGenerator<TaskEvent, void, undefined> {
  let position = start;
  while (!signal.aborted && !feed.isClosed) {
    const upTo = feed.position;
    if (upTo > position) {
      const events = await read({ filter, after: position, upTo, limit: PAGE });
      yield* events;
      position = events.length < PAGE ? upTo : Number(events.at(-1)!.event_id);
    } else {
      position = await feed.next(filter, signal);
    }
  }
}
