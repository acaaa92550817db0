import type { Role } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { openReplicas } from './replicas.ts';

const ROLES: readonly Role[] = ['admin'];

test('of servers that revoke all admin keys at once, one leaves the last', async () => {
  const { cores } = await openReplicas(4);
  const keys = await Promise.all(
    cores.map(({ keys }, index) => keys.insert({ name: 'admin', roles: ROLES, path_prefixes: [], hash: `${index}` })),
  );
  const outcomes = await Promise.allSettled(
    cores.map((core, index) => core.keys.revoke({ key_id: keys[index]!.key_id, mustKeepAdmin: true })),
  );
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
  expect(await cores[0]!.keys.count()).toBe(1);
});

test('of several uses on several servers the latest is kept, whoever writes last', async () => {
  const { cores } = await openReplicas(2, { background: false });
  const [early, late] = cores as [(typeof cores)[0], (typeof cores)[0]];
  await early.keys.insert({ name: 'a key', roles: ROLES, path_prefixes: [], hash: 'hash' });
  await early.keys.findByHash('hash');
  const before = Date.now();
  while (Date.now() <= before + 1) await late.ping();
  await late.keys.findByHash('hash');
  const latest = (await late.keys.list({ limit: 1 })).keys[0]!.last_used_at;
  expect((await early.keys.list({ limit: 1 })).keys[0]!.last_used_at).toBe(latest);
});
