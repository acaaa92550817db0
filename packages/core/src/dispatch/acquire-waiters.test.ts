import { expect, test } from 'vitest';
import { AcquireWaiters, type Waiter } from './acquire-waiters.ts';
import { createSelector } from './selector.ts';

/** A waiter that says in `woken` that it was woken. */
function listen(waiters: AcquireWaiters, name: string, woken: string[], waiter: Partial<Waiter> = {}): AbortController {
  const leaving = new AbortController();
  const selector = createSelector({ work_path: '/a', subtree: true });
  void waiters
    .wait({ selector, limit: 1, isHeld: false, ...waiter }, 60_000, leaving.signal)
    .then(() => woken.push(name));
  return leaving;
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('as many are woken as there are tasks, first come first', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  for (const name of ['1', '2', '3']) listen(waiters, name, woken);
  waiters.wakeForReady(
    new Map([
      ['/a/x', 1],
      ['/a/y', 1],
    ]),
  );
  await settle();
  expect(woken).toEqual(['1', '2']);
  expect(waiters.size).toBe(1);
  waiters.wakeAll();
});

test('who wants several takes several, and the rest is for the next', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  listen(waiters, 'two', woken, { limit: 2 });
  listen(waiters, 'one', woken);
  listen(waiters, 'none', woken);
  waiters.wakeForReady(new Map([['/a', 3]]));
  await settle();
  expect(woken).toEqual(['two', 'one']);
  waiters.wakeAll();
});

test('a path wakes nobody who did not ask for it', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  listen(waiters, 'exact', woken, { selector: createSelector({ work_path: '/a', subtree: false }) });
  listen(waiters, 'subtree', woken);
  listen(waiters, 'any', woken, { selector: createSelector({ subtree: false }) });
  waiters.wakeForReady(new Map([['/ab', 5]]));
  await settle();
  expect(woken).toEqual(['any']);
  waiters.wakeForReady(new Map([['/a/b', 5]]));
  await settle();
  expect(woken).toEqual(['any', 'subtree']);
  waiters.wakeAll();
});

test('a waiter with tags is woken and takes nothing from the others', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  listen(waiters, 'tagged', woken, { selector: createSelector({ work_path: '/a', subtree: false, tags_any: ['x'] }) });
  listen(waiters, 'plain', woken);
  waiters.wakeForReady(new Map([['/a', 1]]));
  await settle();
  expect(woken).toEqual(['tagged', 'plain']);
});

test('freed paths wake those that were held and no others', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  listen(waiters, 'idle', woken);
  listen(waiters, 'held', woken, { isHeld: true });
  waiters.wakeHeld();
  await settle();
  expect(woken).toEqual(['held']);
  waiters.wakeAll();
});

test('who leaves, or whose time is up, is woken and forgotten', async () => {
  const waiters = new AcquireWaiters();
  const woken: string[] = [];
  listen(waiters, 'leaving', woken).abort();
  await settle();
  expect(woken).toEqual(['leaving']);
  await waiters.wait({ selector: createSelector({ subtree: false }), limit: 1, isHeld: false }, 1, undefined);
  const gone = AbortSignal.abort();
  await waiters.wait({ selector: createSelector({ subtree: false }), limit: 1, isHeld: false }, 60_000, gone);
  expect(waiters.size).toBe(0);
});
