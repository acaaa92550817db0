import { expect, test } from 'vitest';
import { leaseToken } from './lease-token.ts';

test('no two tokens are the same, also where new random bytes are drawn', () => {
  const tokens = Array.from({ length: 1000 }, leaseToken);
  expect(new Set(tokens).size).toBe(1000);
  for (const token of tokens) expect(token).toMatch(/^[\w-]{22}$/);
});
