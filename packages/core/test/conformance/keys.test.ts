import { KeysInput } from '@task-orchestrator/contract';
import type { NewKey } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { refused } from '../builders.ts';
import { forEachDurableEngine, forEachEngine } from '../engines.ts';

function aKey(key: Partial<NewKey> = {}): NewKey {
  return { name: 'a key', roles: ['worker'], path_prefixes: [], hash: 'hash', ...key };
}

const NOBODY = '01920000-0000-7000-8000-000000000000';
const all = KeysInput.parse({});

forEachEngine((engine) => {
  test('a key is found by the hash of its secret, with what it may do', async () => {
    const { core, clock } = await engine.open();
    const { keys } = core;
    const key = await keys.insert(aKey({ roles: ['worker', 'viewer', 'worker'], path_prefixes: ['/a', '/b', '/a'] }));
    expect(key).toEqual({
      key_id: expect.stringMatching(/^[\da-f-]{36}$/),
      name: 'a key',
      roles: ['worker', 'viewer'],
      path_prefixes: ['/a', '/b'],
      created_at: clock.in(0),
      expires_at: null,
      last_used_at: null,
      old_secret_expires_at: null,
    });
    const { key_id, name, roles, path_prefixes } = key;
    expect(await keys.findByHash('hash')).toEqual({ key_id, name, roles, path_prefixes, remainingMs: Infinity });
    expect(await keys.findByHash('another')).toBeUndefined();
    expect(await keys.count()).toBe(1);
  });

  test('an admin key has no prefixes, and no key begins after its end', async () => {
    const { core, clock } = await engine.open();
    const wide = await refused('VALIDATION_ERROR', core.keys.insert(aKey({ roles: ['admin'], path_prefixes: ['/a'] })));
    expect(wide.details?.field).toBe('path_prefixes');
    const late = await refused('VALIDATION_ERROR', core.keys.insert(aKey({ expires_at: clock.in(0) })));
    expect(late.details).toMatchObject({ field: 'expires_at', message: 'must be in the future' });
    expect(await core.keys.count()).toBe(0);
  });

  test('keys are listed newest first, page by page', async () => {
    const { core } = await engine.open();
    for (const name of ['one', 'two', 'three']) await core.keys.insert(aKey({ name, hash: name }));
    const first = await core.keys.list({ limit: 2 });
    expect(first.keys.map(({ name }) => name)).toEqual(['three', 'two']);
    const second = await core.keys.list({ limit: 2, cursor: first.next_cursor! });
    expect(second.keys.map(({ name }) => name)).toEqual(['one']);
    expect(second.next_cursor).toBeNull();
  });

  test('a key expires to the millisecond, and says before how long it has', async () => {
    const { core, clock } = await engine.open();
    await core.keys.insert(aKey({ expires_at: clock.in(60) }));
    clock.advance(59);
    expect(await core.keys.findByHash('hash')).toMatchObject({ remainingMs: 1000 });
    clock.advance(1);
    expect(await core.keys.findByHash('hash')).toBeUndefined();
    expect(await core.keys.findValidHashes(['hash'])).toEqual(new Set());
  });

  test('a rotated key has a new secret, and the old one until its grace is over', async () => {
    const { core, clock } = await engine.open();
    const { keys } = core;
    const { key_id } = await keys.insert(aKey({ hash: 'first' }));
    const rotated = await keys.rotate({ key_id, hash: 'second', grace_seconds: 10 });
    expect(rotated.old_secret_expires_at).toBe(clock.in(10));
    expect(await keys.findByHash('first')).toMatchObject({ key_id, remainingMs: 10_000 });
    expect(await keys.findByHash('second')).toMatchObject({ key_id, remainingMs: Infinity });
    expect(await keys.findValidHashes(['first', 'second', 'third'])).toEqual(new Set(['first', 'second']));
    clock.advance(10);
    expect(await keys.findByHash('first')).toBeUndefined();
    expect(await keys.findValidHashes(['first', 'second'])).toEqual(new Set(['second']));
    expect((await keys.list(all)).keys[0]?.old_secret_expires_at).toBeNull();
  });

  test('without a grace, and after another rotation, an old secret is worth nothing', async () => {
    const { core } = await engine.open();
    const { keys } = core;
    const { key_id } = await keys.insert(aKey({ hash: 'first' }));
    await keys.rotate({ key_id, hash: 'second', grace_seconds: 10 });
    await keys.rotate({ key_id, hash: 'third', grace_seconds: 10 });
    await keys.rotate({ key_id, hash: 'fourth', grace_seconds: 0 });
    for (const hash of ['first', 'second', 'third']) expect(await keys.findByHash(hash), hash).toBeUndefined();
    expect(await keys.findByHash('fourth')).toMatchObject({ key_id });
  });

  test('a key that has expired cannot be rotated, and one that does not exist can be neither rotated nor revoked', async () => {
    const { core, clock } = await engine.open();
    const { key_id } = await core.keys.insert(aKey({ expires_at: clock.in(1) }));
    clock.advance(1);
    await refused('STATUS_CONFLICT', core.keys.rotate({ key_id, hash: 'new', grace_seconds: 0 }));
    await refused('NOT_FOUND', core.keys.rotate({ key_id: NOBODY, hash: 'new', grace_seconds: 0 }));
    await refused('NOT_FOUND', core.keys.revoke({ key_id: NOBODY, mustKeepAdmin: true }));
  });

  test('a revoked key is gone, with its old secret', async () => {
    const { core } = await engine.open();
    const { key_id } = await core.keys.insert(aKey({ hash: 'first' }));
    await core.keys.rotate({ key_id, hash: 'second', grace_seconds: 100 });
    expect(await core.keys.revoke({ key_id, mustKeepAdmin: true })).toMatchObject({ key_id, name: 'a key' });
    expect(await core.keys.findValidHashes(['first', 'second'])).toEqual(new Set());
    expect((await core.keys.list(all)).keys).toEqual([]);
  });

  test('the last admin key that does not expire stays, however many are revoked at once', async () => {
    const { core, clock } = await engine.open();
    const { keys } = core;
    const names = ['one', 'two', 'three'];
    const admins = await Promise.all(names.map((name) => keys.insert(aKey({ name, hash: name, roles: ['admin'] }))));
    await keys.insert(aKey({ hash: 'for a while', roles: ['admin'], expires_at: clock.in(60) }));
    await keys.insert(aKey({ hash: 'a worker' }));
    const outcomes = await Promise.allSettled(admins.map(({ key_id }) => keys.revoke({ key_id, mustKeepAdmin: true })));
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    const { key_id } = (await keys.list(all)).keys.find(
      ({ roles, expires_at }) => roles[0] === 'admin' && !expires_at,
    )!;
    expect((await refused('STATUS_CONFLICT', keys.revoke({ key_id, mustKeepAdmin: true }))).message).toContain(
      'is the last admin key',
    );
    await keys.revoke({ key_id, mustKeepAdmin: false });
  });

  test('when a key was last used is written down in the background, and not by who only looks whether it is valid', async () => {
    const { core, clock } = await engine.open();
    await core.keys.insert(aKey());
    await core.keys.findValidHashes(['hash']);
    expect((await core.keys.list(all)).keys[0]?.last_used_at).toBeNull();
    clock.advance(5);
    await core.keys.findByHash('hash');
    clock.advance(5);
    expect((await core.keys.list(all)).keys[0]?.last_used_at).toBe(clock.in(-5));
  });
});

forEachDurableEngine((createPlace) => {
  test('keys and their last use outlive a restart', async () => {
    const place = await createPlace();
    const first = await place.open();
    await first.core.keys.insert(aKey({ path_prefixes: ['/a'] }));
    await first.core.keys.findByHash('hash');
    await first.close();
    const { core, clock } = await place.open();
    expect((await core.keys.list(all)).keys).toMatchObject([{ path_prefixes: ['/a'], last_used_at: clock.in(0) }]);
  });
});
