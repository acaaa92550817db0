import { Health } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { createHealthCheck, formatUptime } from '../src/health.ts';
import { aCore } from './fake-core.ts';
import { startApp } from './start-app.ts';

test('/health answers the body of the contract, bare', async () => {
  const { ask } = await startApp();
  const answer = await ask('GET', '/health', { isAnonymous: true });
  expect(answer.status).toBe(200);
  expect(Object.keys(answer.json)).toEqual(['status', 'timestamp', 'version', 'uptime', 'components', 'metrics']);
  expect(Health.parse(answer.json)).toMatchObject({
    status: 'healthy',
    components: { database: { healthy: true } },
    metrics: { memory_usage: expect.stringMatching(/^\d+MB$/), active_connections: 1, queue_size: 0 },
  });
});

test('a database that does not answer makes the service unhealthy and not ready, but it lives', async () => {
  const { ask } = await startApp({ core: aCore({ ping: () => Promise.reject(new Error('disk gone')) }) });
  const health = await ask('GET', '/health');
  expect(health.status).toBe(503);
  expect(health.json).toMatchObject({ status: 'unhealthy', components: { database: { healthy: false } } });
  expect(health.text).not.toContain('disk gone');
  expect((await ask('GET', '/health/ready')).status).toBe(503);
  expect((await ask('GET', '/health/live')).status).toBe(200);
});

test('a database that refuses writes makes the service degraded, and it stays ready for reads', async () => {
  const problem = 'the disk of the database is full (SQLITE_FULL)';
  const { ask } = await startApp({ core: aCore({ writeProblem: () => problem }) });
  const health = await ask('GET', '/health');
  expect(health.status).toBe(200);
  expect(Health.parse(health.json)).toMatchObject({
    status: 'degraded',
    components: { database: { healthy: true, problem } },
  });
  const ready = await ask('GET', '/health/ready');
  expect([ready.status, ready.json]).toEqual([200, { status: 'ready', problem }]);
  expect((await ask('GET', '/metrics')).text).toMatch(/^database_writable 0$/m);
});

test('probes share an answer of the database', async () => {
  let pings = 0;
  const ping = () => Promise.resolve(++pings);
  const { ask } = await startApp({ core: aCore({ ping }) });
  await Promise.all(Array.from({ length: 20 }, () => ask('GET', '/health')));
  expect(pings).toBe(1);
});

test('the service is not ready while it ends', async () => {
  let isDraining = false;
  const health = createHealthCheck({
    core: aCore(),
    version: '1',
    isDraining: () => isDraining,
    countConnections: () => Promise.resolve(0),
  });
  expect(await health.isReady()).toBe(true);
  isDraining = true;
  expect(await health.isReady()).toBe(false);
});

test.for([
  [0, '0s'],
  [7.9, '7s'],
  [312, '5m12s'],
  [5400, '1h30m'],
  [93_600, '1d2h'],
] as const)('%f seconds are shown as %s', ([seconds, text]) => {
  expect(formatUptime(seconds)).toBe(text);
});
