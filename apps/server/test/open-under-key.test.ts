import type { ApiKeyWithSecret } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { until } from '../../../tests/support/until.ts';
import { createKeyWatch } from '../src/key-watch.ts';
import { catchRefusal, restCall, trpcCall, type Fields } from './doors.ts';
import { askRaw } from './mcp/agents.ts';
import { listen } from './mcp/listen.ts';
import { KEY, startApp, type RunningApp } from './start-app.ts';

const work_directory = '/srv/repo';

async function createKey({ url }: RunningApp, key: Fields = {}): Promise<ApiKeyWithSecret> {
  const wanted = { name: 'a key', roles: ['producer', 'worker'], ...key };
  return (await restCall(url, KEY)('keys.create', wanted)) as unknown as ApiKeyWithSecret;
}

/** How something that is open stands, and how it ended. */
interface Open {
  readonly isOpen: () => boolean | Promise<boolean>;
  readonly ended: Promise<unknown>;
}

/** Reads a stream to its end. */
function readAll(response: Promise<Response>): Open {
  let text = '';
  const ended = response.then(async ({ body }) => {
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) text += chunk;
    return text;
  });
  return { isOpen: () => text !== '', ended };
}

const headersOf = (key: string) => ({ authorization: `Bearer ${key}`, accept: 'text/event-stream' });

/** Everything that stays open under a key. */
const KINDS: Readonly<Record<string, (service: RunningApp, key: string) => Promise<Open>>> = {
  'a stream over REST': ({ url }, key) =>
    Promise.resolve(readAll(fetch(`${url}/api/v1/events`, { headers: headersOf(key) }))),
  'a subscription over tRPC': ({ url }, key) =>
    Promise.resolve(readAll(fetch(`${url}/trpc/events.stream?input={}`, { headers: headersOf(key) }))),
  'a long poll over REST': ({ url, core }, key) =>
    Promise.resolve({
      isOpen: () => core.gauges().acquire_waiters > 0,
      ended: restCall(url, key)('tasks.acquire', { worker_id: 'w', wait_seconds: 60 }).catch(catchRefusal),
    }),
  'a long poll over tRPC': ({ url, core }, key) =>
    Promise.resolve({
      isOpen: () => core.gauges().acquire_waiters > 0,
      ended: trpcCall(url, key)('tasks.acquire', { worker_id: 'w', wait_seconds: 60 }).catch(catchRefusal),
    }),
  'a long poll over MCP': ({ url, core }, key) => {
    const params = { name: 'acquire_task', arguments: { work_path: work_directory, wait_seconds: 50 } };
    return Promise.resolve({
      isOpen: () => core.gauges().acquire_waiters > 0,
      ended: askRaw({ url, key, method: 'tools/call', params }).then(({ result }) => result.structuredContent.error),
    });
  },
  'a subscription over MCP': async ({ url }, key) => {
    const listening = listen(url, [`path://${work_directory}`], key);
    await listening.acknowledged;
    return { isOpen: () => true, ended: listening.frames };
  },
};

/** Of those that are told why. */
const TOLD = ['a subscription over tRPC', 'a long poll over REST', 'a long poll over tRPC', 'a long poll over MCP'];

async function openUnder(service: RunningApp, kind: string, secret: string): Promise<Open> {
  const open = await KINDS[kind]!(service, secret);
  await until(`${kind} is open`, open.isOpen);
  return open;
}

test.for(Object.keys(KINDS))('%s ends at once when its key is revoked here', async (kind) => {
  const service = await startApp();
  const { key_id, secret } = await createKey(service);
  const { ended } = await openUnder(service, kind, secret);
  const started = performance.now();
  await restCall(service.url, KEY)('keys.revoke', { key_id });
  const ending = await ended;
  expect(performance.now() - started).toBeLessThan(1500);
  if (TOLD.includes(kind)) expect(JSON.stringify(ending)).toContain('UNAUTHORIZED');
});

test.for(Object.keys(KINDS))('%s ends within five seconds when another server revokes its key', async (kind) => {
  const service = await startApp();
  const { key_id, secret } = await createKey(service);
  const { ended } = await openUnder(service, kind, secret);
  const started = performance.now();
  // What another server on the same database would do: nobody tells this one.
  await service.core.keys.revoke({ key_id, mustKeepAdmin: false });
  await ended;
  expect(performance.now() - started).toBeLessThan(5000);
});

test('a stream ends when its key expires, and when its secret was rotated away', async () => {
  const service = await startApp();
  const short = await createKey(service, { expires_at: new Date(Date.now() + 1500).toISOString() });
  const expiring = await openUnder(service, 'a stream over REST', short.secret);
  await expiring.ended;
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(short.expires_at!));

  const { key_id, secret } = await createKey(service);
  const rotated = await openUnder(service, 'a stream over REST', secret);
  const graceful = (await restCall(service.url, KEY)('keys.rotate', { key_id, grace_seconds: 2 })) as Fields;
  await rotated.ended;
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(String(graceful['old_secret_expires_at'])));
});

test('what is open under other keys stays open', async () => {
  const service = await startApp();
  const [one, other] = [await createKey(service), await createKey(service)];
  const kept = await openUnder(service, 'a long poll over REST', other.secret);
  const ended = await openUnder(service, 'a stream over REST', one.secret);
  await restCall(service.url, KEY)('keys.revoke', { key_id: one.key_id });
  await ended.ended;
  await restCall(service.url, KEY)('tasks.create', { work_directory, prompt: 'do it' });
  expect(await kept.ended).toMatchObject({ tasks: [{ prompt: 'do it' }] });
});

test('a long poll of a key that was revoked leaves no lease behind', async () => {
  const service = await startApp();
  const { key_id, secret } = await createKey(service);
  const { ended } = await openUnder(service, 'a long poll over REST', secret);
  await Promise.all([
    restCall(service.url, KEY)('keys.revoke', { key_id }),
    restCall(service.url, KEY)('tasks.create', { work_directory, prompt: 'do it' }),
  ]);
  const outcome = (await ended) as Fields;
  await until('the task is waiting, or handed out', async () => {
    const { tasks } = await service.core.getStatistics();
    return 'refused' in outcome ? tasks.waiting === 1 : tasks.working === 1;
  });
});

test('a subscriber over MCP hears of what is within its prefixes alone', async () => {
  const service = await startApp();
  const { secret } = await createKey(service, { path_prefixes: [work_directory] });
  const create = (directory: string) =>
    restCall(service.url, KEY)('tasks.create', { work_directory: directory, prompt: 'do it' });
  const outside = await create('/srv/other');
  const listening = listen(
    service.url,
    ['path:///srv/other', `task://${String(outside['task_id'])}`, `path://${work_directory}`],
    secret,
  );
  await listening.acknowledged;
  await service.core.cancelTask({ task_id: String(outside['task_id']), force: false });
  await create('/srv/other');
  await create(work_directory);
  expect(await until('an update', () => listening.uris.length > 0 && listening.uris)).toEqual([
    `path://${work_directory}`,
  ]);
  listening.stop();
});

test('keys that hold nothing open are not asked about, and an outage ends nothing', async () => {
  let asked: readonly string[][] = [];
  let isOut = true;
  const findValidHashes = (hashes: readonly string[]) => {
    asked = [...asked, [...hashes]];
    return isOut ? Promise.reject(new Error('outage')) : Promise.resolve(new Set<string>());
  };
  const ended: string[] = [];
  const watch = createKeyWatch({ keys: { findValidHashes }, onEnd: (hash) => ended.push(hash), lookMs: 5 });
  const caller = { key_id: '1', name: 'n', roles: ['viewer'], scope: undefined, hash: 'h' } as const;
  const [first, second] = [watch.hold(caller), watch.hold(caller)];
  await until('some looks', () => asked.length > 2);
  expect(asked[0]).toEqual(['h']);
  first.release();
  expect(second.signal.aborted).toBe(false);
  expect(ended).toEqual([]);
  isOut = false;
  await until('the end of the key', () => second.signal.aborted);
  expect(ended[0]).toBe('h');
  second.release();
  asked = [];
  await watch.look();
  expect(asked).toEqual([]);
});
