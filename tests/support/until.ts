import { setTimeout as pause } from 'node:timers/promises';

type Falsy = false | null | undefined;

/** Looks until the condition answers something true, and hands that on. @throws after `withinMs`. */
export async function until<Value>(
  what: string,
  condition: () => Value | Falsy | Promise<Value | Falsy>,
  { withinMs = 20_000, everyMs = 10 }: { withinMs?: number; everyMs?: number } = {},
): Promise<Value> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s`);
    await pause(everyMs);
  }
}
