import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findCycle } from './reference-cycle.ts';

test.for([
  [{}, null],
  [{ a: ['b'], b: ['c'], c: [] }, null],
  [{ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, null],
  [{ a: ['a'] }, ['a', 'a']],
  [{ a: ['b'], b: ['a'] }, ['a', 'b', 'a']],
  [{ a: ['b'], b: ['c'], c: ['b'] }, ['b', 'c', 'b']],
  [{ a: ['elsewhere'] }, null],
] as const)('the cycle in %j is %j', ([edges, cycle]) => {
  expect(findCycle(new Map<string, readonly string[]>(Object.entries(edges)))).toEqual(cycle);
});

test('a chain of a thousand, and a ring of a thousand, are no deep recursion', () => {
  const names = Array.from({ length: 1000 }, (_, index) => `t${index}`);
  const chain = new Map(names.map((name, index) => [name, index === 0 ? [] : [`t${index - 1}`]]));
  expect(findCycle(chain)).toBeNull();
  expect(findCycle(new Map([...chain, ['t0', ['t999']]]))).toHaveLength(1001);
});

test('many ways to the same place take no time: a ladder of a hundred rungs', () => {
  const edges = new Map<string, string[]>();
  for (let rung = 0; rung < 100; rung++)
    for (const side of ['l', 'r']) edges.set(`${side}${rung}`, [`l${rung + 1}`, `r${rung + 1}`]);
  expect(findCycle(edges)).toBeNull();
});

test('a cycle that is found is one, and none is missed', () => {
  const node = fc.nat(6).map(String);
  fc.assert(
    fc.property(fc.dictionary(node, fc.array(node, { maxLength: 3 })), (graph) => {
      const edges = new Map(Object.entries(graph));
      const cycle = findCycle(edges);
      if (cycle) {
        expect(cycle.length).toBeGreaterThan(1);
        expect(cycle[0]).toBe(cycle.at(-1));
        for (let index = 1; index < cycle.length; index++) expect(edges.get(cycle[index - 1]!)).toContain(cycle[index]);
      } else expect([...edges.keys()].some((start) => reaches(edges, start, start))).toBe(false);
    }),
  );
});

function reaches(
  edges: ReadonlyMap<string, readonly string[]>,
  from: string,
  to: string,
  seen = new Set<string>(),
): boolean {
  return (edges.get(from) ?? []).some((next) => {
    if (next === to) return true;
    if (seen.has(next)) return false;
    seen.add(next);
    return reaches(edges, next, to, seen);
  });
}
