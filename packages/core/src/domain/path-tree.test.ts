import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ancestorsOf, isBelow, overlaps, rangeBelow } from './path-tree.ts';

test.for([
  ['/a/b/c', ['/a/b', '/a', '/']],
  ['/a', ['/']],
  ['/', []],
  ['C:/a/b', ['C:/a', 'C:/']],
  ['C:/', []],
] as const)('above %s are %j', ([path, ancestors]) => {
  expect(ancestorsOf(path)).toEqual(ancestors);
});

test.for([
  ['/a/b', '/a', true],
  ['/a', '/a', false],
  ['/ab', '/a', false],
  ['/a', '/', true],
  ['/', '/', false],
  ['/a', '/a/b', false],
  ['C:/a', 'C:/', true],
  ['C:/a', '/', false],
  ['D:/a', 'C:/', false],
] as const)('%s below %s: %s', ([path, ancestor, expected]) => {
  expect(isBelow(path, ancestor)).toBe(expected);
});

const paths = fc
  .tuple(
    fc.constantFrom('/', 'C:/', 'D:/'),
    fc.array(fc.constantFrom('a', 'b', 'a-b', 'a.b', 'a b', 'a0', 'ä', '🦊'), { maxLength: 4 }),
  )
  .map(([root, segments]) => root + segments.join('/'));

/** As the databases compare: by bytes. */
const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

test('below, above, the range and the overlap say the same of every two paths', () => {
  fc.assert(
    fc.property(paths, paths, (a, b) => {
      const below = isBelow(a, b);
      expect(ancestorsOf(a).includes(b)).toBe(below);
      const { after, before } = rangeBelow(b);
      expect(compare(a, after) > 0 && compare(a, before) < 0).toBe(below);
      expect(overlaps(a, b)).toBe(a === b || below || isBelow(b, a));
      expect(overlaps(a, b)).toBe(overlaps(b, a));
    }),
    { numRuns: 2_000 },
  );
});
