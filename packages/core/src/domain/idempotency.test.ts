import { BatchTask } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { fingerprint, isKeyReleased, windowHours } from './idempotency.ts';

const print = (task: object): string => fingerprint(BatchTask.parse({ work_directory: '/a', prompt: 'p', ...task }));

test('what a task is called makes no other body', () => {
  expect(print({ idempotency_key: 'k', idempotency_window: 1, ref: 'r' })).toBe(print({}));
  expect(print({ metadata: { a: 1, b: { c: 2, d: [1, { e: 1, f: 2 }] } } })).toBe(
    print({ metadata: { b: { d: [1, { f: 2, e: 1 }], c: 2 }, a: 1 } }),
  );
  expect(print({ work_directory: '/a/' })).toBe(print({}));
});

test.for([
  { prompt: 'q' },
  { work_directory: '/b' },
  { priority: 'high' },
  { tags: ['t'] },
  { metadata: { a: 1 } },
  { metadata: { __proto__: null, a: '1' } },
  { exclusive: true },
  { max_attempts: 4 },
  { run_at: '2030-01-01T00:00:00Z' },
  { depends_on: ['x'] },
  { on_dependency_failure: 'run' },
])('what a task is makes another body: %j', (task) => {
  expect(print(task)).not.toBe(print({}));
});

test('lists keep their order', () => {
  expect(print({ tags: ['a', 'b'] })).not.toBe(print({ tags: ['b', 'a'] }));
});

test('a key is given back when its hours after the end are over, to the millisecond', () => {
  const task = { finished_at: 1_000, idempotency_window_hours: windowHours(2) };
  expect(isKeyReleased(task, 1_000 + 7_200_000 - 1)).toBe(false);
  expect(isKeyReleased(task, 1_000 + 7_200_000)).toBe(true);
  expect(isKeyReleased({ finished_at: null, idempotency_window_hours: 0 }, 1e15)).toBe(false);
  expect(isKeyReleased({ finished_at: 1_000, idempotency_window_hours: windowHours('until_finished') }, 1_000)).toBe(
    true,
  );
  expect(isKeyReleased({ finished_at: 1_000, idempotency_window_hours: windowHours('forever') }, 1e15)).toBe(false);
});
