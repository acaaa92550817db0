import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LazyQueue } from './lazy-queue.ts';

interface Item {
  readonly name: number;
  /** Null: out of the line. */
  value: number | null;
}

const NAMES = 6;
const name = fc.nat({ max: NAMES - 1 });
const value = fc.option(fc.nat({ max: 9 }), { freq: 4 });
const step = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), name, value }),
  fc.record({ kind: fc.constant('pop' as const) }),
);

test('whatever keys do, the first is the one with the smallest key of those that stand in line', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const items: Item[] = Array.from({ length: NAMES }, (_, index) => ({ name: index, value: null }));
      const queue = new LazyQueue<Item>((item) => (item.value === null ? null : [item.value, item.name, 0]));
      const inLine = new Set<Item>();
      for (const taken of steps) {
        if (taken.kind === 'set') {
          const item = items[taken.name]!;
          item.value = taken.value;
          queue.push(item);
          if (item.value === null) inLine.delete(item);
          else inLine.add(item);
        } else {
          const [first] = [...inLine].toSorted((a, b) => a.value! - b.value! || a.name - b.name);
          expect(queue.pop()).toBe(first);
          if (first) inLine.delete(first);
        }
      }
    }),
  );
});

test('what has left the line is forgotten, though nobody takes anything out', () => {
  let looks = 0;
  const queue = new LazyQueue<Item>((item) => {
    looks++;
    return item.value === null ? null : [item.value, item.name, 0];
  });
  for (let index = 0; index < 10_000; index++) {
    const item: Item = { name: index, value: 1 };
    queue.push(item);
    item.value = null;
  }
  looks = 0;
  expect(queue.pop()).toBeUndefined();
  // It looks at everything that it still has.
  expect(looks).toBeLessThan(200);
});
