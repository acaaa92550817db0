import { expect, test } from 'vitest';
import { timeOrderedId } from './time-ordered-id.ts';

test('ids are UUIDs of version 7 that hold their time and differ', () => {
  const now = Date.parse('2026-01-01T00:00:00.123Z');
  const ids = Array.from({ length: 10_000 }, () => timeOrderedId(now));
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids.map((id) => id[19]))).toEqual(new Set(['8', '9', 'a', 'b']));
  expect(Number.parseInt(ids[0]!.slice(0, 13).replace('-', ''), 16)).toBe(now);
});
