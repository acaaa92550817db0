import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PathTurns, type IsLeftOut, type Turn } from './path-turns.ts';
import { createSelector, type Selector } from './selector.ts';

const ANY = createSelector({ subtree: false });
const NOBODY: IsLeftOut = () => false;

function openTurns(options: { weights?: Record<string, number>; ageingMs?: number } = {}): PathTurns {
  return new PathTurns({ weightOf: (path) => options.weights?.[path] ?? 1, ageingMs: options.ageingMs ?? 0 });
}

/** The paths of the next turns of one task each. */
function dealOneByOne(turns: PathTurns, count: number, selector: Selector = ANY): string {
  return Array.from({ length: count }, () => turns.deal(selector, 1, 0, NOBODY)[0]?.path ?? '-').join('');
}

test('nothing is dealt where nothing waits', () => {
  const turns = openTurns();
  expect(turns.deal(ANY, 5, 0, NOBODY)).toEqual([]);
  expect(turns.hasAny(ANY)).toBe(false);
  turns.add('/a', 1, 0);
  expect(turns.hasAny(createSelector({ work_path: '/b', subtree: true }))).toBe(false);
  expect(turns.hasAny(createSelector({ work_path: '/', subtree: true }))).toBe(true);
});

test('paths take turns, and who comes in stands behind those that wait and before who was just served', () => {
  const turns = openTurns();
  for (const path of ['a', 'b']) turns.add(path, 1, 0);
  expect(dealOneByOne(turns, 3)).toBe('aba');
  turns.add('c', 1, 0);
  expect(dealOneByOne(turns, 6)).toBe('bcabca');
});

test('a stream of new paths passes nobody who waits', () => {
  const turns = openTurns();
  turns.add('o', 1, 0);
  dealOneByOne(turns, 1);
  let old = 0;
  for (let index = 0; index < 100; index++) {
    turns.add(`n${index}`, 1, 0);
    if (index % 10 === 0 && dealOneByOne(turns, 11).includes('o')) old++;
  }
  expect(old).toBeGreaterThan(3);
});

test.for([
  [3, 'aaabaaab'],
  [2, 'aabaabaa'],
  [1, 'abababab'],
  [0.5, 'babbabba'],
  [2.5, 'aabaaaba'],
] as const)('a path of weight %s beside one of weight 1: %s', ([weight, order]) => {
  const turns = openTurns({ weights: { a: weight } });
  for (const path of ['a', 'b']) turns.add(path, 1, 0);
  expect(dealOneByOne(turns, 8)).toBe(order);
});

test.for([1, 2, 3, 7, 40])('the shares are those of the weights, dealt by %i', (want) => {
  const turns = openTurns({ weights: { a: 3, b: 0.5, c: 1 } });
  for (const path of ['a', 'b', 'c']) turns.add(path, 1, 0);
  const shares: Record<string, number> = { a: 0, b: 0, c: 0 };
  for (let left = 900; left > 0;) {
    for (const { path, quota } of turns.deal(ANY, Math.min(want, left), 0, NOBODY)) {
      shares[path]! += quota;
      left -= quota;
    }
  }
  expect(shares['a']! / 900).toBeCloseTo(3 / 4.5, 1);
  expect(shares['b']! / 900).toBeCloseTo(0.5 / 4.5, 1);
});

test('the highest rank goes first, wherever it waits', () => {
  const turns = openTurns();
  turns.add('a', 0, 0);
  turns.add('b', 2, 0);
  turns.add('a', 1, 0);
  expect(turns.deal(ANY, 9, 0, NOBODY)).toMatchObject([{ path: 'b', rank: 2, quota: 9 }]);
});

test('what is left out is passed over, path by path or rank by rank', () => {
  const turns = openTurns();
  turns.add('a', 2, 0);
  turns.add('a', 0, 0);
  turns.add('b', 1, 0);
  expect(turns.deal(ANY, 1, 0, (path) => path === 'a')).toMatchObject([{ path: 'b', rank: 1 }]);
  expect(turns.deal(ANY, 1, 0, (path, rank) => path === 'b' || rank === 2)).toMatchObject([{ path: 'a', rank: 0 }]);
  expect(turns.deal(ANY, 1, 0, () => true)).toEqual([]);
});

test('a path whose last rank is empty is forgotten', () => {
  const turns = openTurns();
  turns.add('a', 1, 5);
  const [turn] = turns.deal(ANY, 1, 0, NOBODY);
  expect(turns.moveHead(turn!, null)).toMatchObject({ runAt: 5 });
  expect(turns.hasAny(ANY)).toBe(false);
});

test('a finding that is older than the last arrival is not believed', () => {
  const turns = openTurns();
  turns.add('a', 1, 5);
  const [turn] = turns.deal(ANY, 1, 0, NOBODY);
  turns.add('a', 1, 9);
  expect(turns.moveHead(turn!, null)).toBeNull();
  expect(turns.oldest()).toMatchObject({ path: 'a', runAt: 5 });
});

test('the oldest is the earliest head of all paths and ranks', () => {
  const turns = openTurns();
  expect(turns.oldest()).toBeNull();
  turns.add('a', 2, 7);
  turns.add('b', 0, 5);
  turns.add('b', 0, 6);
  expect(turns.oldest()).toMatchObject({ path: 'b', rank: 0, runAt: 5 });
  turns.moveHead(turns.oldest()!, { runAt: 8, band: Infinity, hasLater: true });
  expect(turns.oldest()).toMatchObject({ path: 'a', runAt: 7 });
});

test('every second turn is for who has waited too long, and such turns are dealt one by one', () => {
  const turns = openTurns({ ageingMs: 100 });
  turns.add('a', 2, 95);
  turns.add('b', 0, 0);
  turns.add('c', 1, 3);
  const deal = () => turns.deal(ANY, 4, 110, NOBODY);
  expect(deal()).toMatchObject([{ path: 'b', rank: 0, quota: 1, isAged: true }]);
  expect(deal()).toMatchObject([{ path: 'a', rank: 2, quota: 1, isAged: false }]);
  turns.moveHead(deal()[0]!, null);
  expect(deal()).toMatchObject([{ path: 'a', rank: 2, quota: 1, isAged: false }]);
  expect(deal()).toMatchObject([{ path: 'c', rank: 1, isAged: true }]);
  expect(turns.deal(ANY, 4, 50, NOBODY)).toMatchObject([{ path: 'a', quota: 4, isAged: false }]);
});

test('workers that share no path do not take the aged turns from each other', () => {
  const turns = openTurns({ ageingMs: 100 });
  for (const path of ['a', 'b']) {
    turns.add(path, 0, 0);
    turns.add(path, 2, 199);
  }
  const deal = (work_path: string): boolean =>
    turns.deal({ paths: [work_path], subtree: false, tagsAny: null }, 1, 200, NOBODY)[0]!.isAged;
  expect([deal('a'), deal('b'), deal('a'), deal('b')]).toEqual([true, true, false, false]);
});

const path = fc.constantFrom('/a', '/b', '/c', '/d', '/e');
const rank = fc.nat({ max: 2 });
const runAt = fc.nat({ max: 5 });
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const), path, rank, runAt }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('deal' as const), want: fc.integer({ min: 1, max: 7 }), leftOut: path }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), runAt: fc.option(runAt) }) },
);

test.for([0, 3])(
  'turns of all paths are dealt as those of a tree that has them all, ageing after %i ms',
  (ageingMs) => {
    const tree = createSelector({ work_path: '/', subtree: true });
    const weights = { '/a': 2, '/b': 0.5 };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [fromAll, fromTree] = [openTurns({ weights, ageingMs }), openTurns({ weights, ageingMs })];
        let dealt: Turn[] = [];
        for (const taken of steps) {
          if (taken.kind === 'add') {
            for (const turns of [fromAll, fromTree]) turns.add(taken.path, taken.rank, taken.runAt);
          } else if (taken.kind === 'deal') {
            const isLeftOut: IsLeftOut = (path) => path === taken.leftOut;
            dealt = fromAll.deal(ANY, taken.want, 6, isLeftOut);
            expect(dealt).toEqual(fromTree.deal(tree, taken.want, 6, isLeftOut));
          } else {
            // A path that is forgotten with its last task is not remembered as the one that had the last aged turn.
            const [turn] = dealt.splice(0, 1);
            if (!turn || (ageingMs > 0 && taken.runAt === null)) continue;
            const place = taken.runAt === null ? null : { runAt: taken.runAt, band: Infinity, hasLater: true };
            expect(fromAll.moveHead(turn, place)).toEqual(fromTree.moveHead(turn, place));
          }
        }
      }),
    );
  },
);
