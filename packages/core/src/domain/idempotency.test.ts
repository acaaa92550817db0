import { BatchTask } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { hiddenBody, isKeyReleased, isSameBody, windowHours } from './idempotency.ts';
import { PRIORITY_RANK } from './priority.ts';

/** Whether a body is taken for that of a task which came of another. */
function isSame(body: object, other: object = {}): boolean {
  const [task, first] = [other, body].map((said) => BatchTask.parse({ work_directory: '/a', prompt: 'p', ...said }));
  const shown = {
    work_directory: first!.work_directory,
    prompt: first!.prompt,
    priority: PRIORITY_RANK[first!.priority],
    exclusive: Number(first!.exclusive),
    on_dependency_failure: first!.on_dependency_failure,
    tags: first!.tags.length === 0 ? null : JSON.stringify(first!.tags),
    metadata: JSON.stringify(first!.metadata),
    idempotency_body: hiddenBody(first!),
  };
  return isSameBody(shown, task!);
}

test('what a task is called makes no other body', () => {
  expect(isSame({})).toBe(true);
  expect(isSame({ idempotency_key: 'k', idempotency_window: 1, ref: 'r' })).toBe(true);
  const metadata = { a: 1, b: { c: 2, d: [1, { e: 1, f: 2 }] } };
  expect(isSame({ metadata }, { metadata: { b: { d: [1, { f: 2, e: 1 }], c: 2 }, a: 1 } })).toBe(true);
  expect(isSame({ work_directory: '/a/' })).toBe(true);
  expect(isSame({ metadata: { traceparent: 'x' } })).toBe(true);
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
  { timeout_seconds: 3600 },
  { run_at: '2030-01-01T00:00:00Z' },
  { depends_on: ['x'] },
  { on_dependency_failure: 'run' },
])('what a task is makes another body: %j', (task) => {
  expect(isSame(task)).toBe(false);
  expect(isSame({}, task)).toBe(false);
  expect(isSame(task, task)).toBe(true);
});

test('lists keep their order', () => {
  expect(isSame({ tags: ['a', 'b'] }, { tags: ['b', 'a'] })).toBe(false);
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
