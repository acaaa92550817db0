import { expect, test } from 'vitest';
import { describeOutage, isOutage, isUncertain, UncertainCommitError } from './outage.ts';

const failure = (code: string) => Object.assign(new Error('what the driver says, with /paths/of/the/inside'), { code });

test.for([
  ['SQLITE_FULL', 'the disk of the database is full (SQLITE_FULL)'],
  ['SQLITE_IOERR_WRITE', 'the disk of the database cannot be read or written (SQLITE_IOERR_WRITE)'],
  ['SQLITE_READONLY_DBMOVED', 'the database is read-only (SQLITE_READONLY_DBMOVED)'],
  ['SQLITE_BUSY', 'the database is locked by another process (SQLITE_BUSY)'],
  ['53100', 'the disk of the database is full (53100)'],
  ['25006', 'the database is read-only (25006)'],
  ['ECONNREFUSED', 'the database cannot be reached'],
] as const)('%s is an outage, told as what it is about and nothing of the inside', ([code, problem]) => {
  expect(isOutage(failure(code))).toBe(true);
  expect(describeOutage(failure(code))).toBe(problem);
});

test('a commit whose flush failed, or whose connection was lost, may have happened; one that found no room has not', () => {
  expect(isUncertain(failure('SQLITE_IOERR_FSYNC'))).toBe(true);
  expect(isUncertain(new UncertainCommitError(failure('ECONNRESET')))).toBe(true);
  expect(isUncertain(failure('SQLITE_FULL'))).toBe(false);
  expect(isUncertain(failure('SQLITE_IOERR_WRITE'))).toBe(false);
});
