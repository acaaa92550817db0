import type { CoreContext } from './context.ts';

/** Whoever waits looks again after this long even if nobody woke it: other servers' notices may get lost. */
const NET_MS = 5_000;
const NET_ALONE_MS = 60_000;

/** Waits that end within the same slot end together. */
const SLOT_MS = 500;
/** Shorter waits end when they are to: a slot would be much of them. */
const LONG_MS = 5_000;

/**
 * When a wait that begins now ends, in monotonic milliseconds. A long one ends up to a slot early, so that the process wakes
 * up once for all whose time is up: to wake up for each costs more than to answer it.
 */
export function endOfWait(waitMs: number, now = performance.now()): number {
  const end = now + waitMs;
  return waitMs < LONG_MS ? end : end - (end % SLOT_MS);
}

/** How long a timer may run until it is time to look again, or the wait is over. */
export function untilNextLook({ engine }: CoreContext, end: number): number {
  const netMs = engine.peers === null ? NET_ALONE_MS : NET_MS;
  // Timers drop the fraction of a millisecond, and would run out just before the end.
  return Math.ceil(Math.min(end, endOfWait(netMs)) - performance.now());
}
