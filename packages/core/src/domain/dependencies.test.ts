import { expect, test } from 'vitest';
import { judgeDependencies } from './dependencies.ts';

test.for([
  [[], 'met', 'met'],
  [['completed', 'completed'], 'met', 'met'],
  [['completed', 'working'], 'open', 'open'],
  [['failed', 'working'], 'failed', 'open'],
  [['cancelled', 'completed'], 'failed', 'met'],
  [['failed', 'cancelled'], 'failed', 'met'],
  [['blocked'], 'open', 'open'],
  [['scheduled', 'waiting'], 'open', 'open'],
] as const)('dependencies that are %j: %s with cancel, %s with run', ([statuses, cancel, run]) => {
  expect(judgeDependencies(statuses, 'cancel')).toBe(cancel);
  expect(judgeDependencies(statuses, 'run')).toBe(run);
});
