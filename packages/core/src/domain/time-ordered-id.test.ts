import { expect, test } from 'vitest';
import { timeOrderedId } from './time-ordered-id.ts';

test('ids are UUIDs of version 7 that hold their time, differ and grow', () => {
  const now = Date.parse('2026-01-01T00:00:00.123Z');
  const ids = Array.from({ length: 50_000 }, () => timeOrderedId(now));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(ids);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const timeOf = (id: string) => Number.parseInt(id.slice(0, 13).replace('-', ''), 16);
  expect(timeOf(ids[0]!)).toBe(now);
  const later = timeOrderedId(now + 1);
  expect(timeOf(later)).toBe(now + 1);
  expect(later > ids.at(-1)!).toBe(true);
});
