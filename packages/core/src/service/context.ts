import type { CommitQueue } from '../commit/commit-queue.ts';
import type { TaskPolicy } from '../commit/commit.ts';
import type { CoreObserver } from '../core-api.ts';
import type { Engine } from '../db/engine.ts';
import type { AcquireWaiters } from '../dispatch/acquire-waiters.ts';
import type { DueTimer } from '../dispatch/due-timer.ts';
import type { EventFeed } from '../dispatch/event-feed.ts';
import type { PathSettings } from '../dispatch/path-settings.ts';
import type { PathTurns } from '../dispatch/path-turns.ts';
import type { TaskEnds } from '../dispatch/task-ends.ts';
import type { WaitingCounts } from '../dispatch/waiting-counts.ts';
import type { WorkerSightings } from '../dispatch/worker-sightings.ts';
import type { Cipher } from '../encryption/cipher.ts';
import type { KeyUses } from '../repository/api-keys.ts';
import type { TaskCounts } from '../repository/statistics.ts';

/** What the parts of one running core share. Everything but the engine is a hint that a restart rebuilds. */
export interface CoreContext {
  readonly engine: Engine;
  readonly commits: CommitQueue;
  readonly policy: TaskPolicy;
  readonly cipher: Cipher;
  readonly observer: CoreObserver;
  readonly turns: PathTurns;
  readonly settings: PathSettings;
  readonly waiters: AcquireWaiters;
  readonly feed: EventFeed;
  readonly ends: TaskEnds;
  readonly sightings: WorkerSightings;
  readonly keyUses: KeyUses;
  readonly due: DueTimer;
  counts: TaskCounts;
  /** Null where other servers write too: they count for themselves. */
  readonly waiting: WaitingCounts | null;
  /** Aborts when the core begins to end: long polls answer, streams finish. */
  readonly ending: AbortSignal;
}
