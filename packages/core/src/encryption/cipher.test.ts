import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Cipher, NO_KEYS, UnreadableError } from './cipher.ts';

const KEY = randomBytes(32);
const cipher = new Cipher({ current: KEY, previous: [] });
const off = new Cipher(NO_KEYS);

/** Any text that a database holds, with what stored values begin with among it. */
const text = fc
  .tuple(
    fc.constantFrom('', '', '\u0001', '\u00010:', '\u00011:', `\u00011:${cipher.currentId}:AAAA`),
    fc.string({ unit: 'binary' }),
  )
  .map(([start, rest]) => (start + rest).toWellFormed());

test.each([
  ['on', cipher],
  ['off', off],
])('with encryption %s any text comes back as it was', (_name, one) => {
  fc.assert(
    fc.property(text, (plain) => {
      expect(one.open(one.seal(plain, 'task', 'prompt'), 'task', 'prompt')).toBe(plain);
    }),
    { numRuns: 2000 },
  );
});

test('text that is stored plain reads back the same once there is a key, and encrypted text of another key as well', () => {
  const next = new Cipher({ current: randomBytes(32), previous: [KEY] });
  fc.assert(
    fc.property(text, (plain) => {
      for (const one of [off, cipher])
        expect(next.open(one.seal(plain, 'task', 'prompt'), 'task', 'prompt')).toBe(plain);
    }),
  );
});

test('without a key ordinary text is stored as it is', () => {
  expect(off.seal('do it', 'task', 'prompt')).toBe('do it');
  expect(off.seal('', 'task', 'prompt')).toBe('');
});

test('the same text never looks the same twice, and shows nothing of itself', () => {
  const sealed = Array.from({ length: 1000 }, () => cipher.seal('the secret', 'task', 'prompt'));
  expect(new Set(sealed).size).toBe(1000);
  expect(sealed.filter((value) => value.includes('secret'))).toEqual([]);
});

test('a value of another task, of another column or with another byte is refused, naming the task and nothing else', () => {
  const sealed = cipher.seal('the secret', 'task-1', 'prompt');
  const bytes = Buffer.from(sealed.split(':')[2]!, 'base64');
  const start = sealed.slice(0, sealed.lastIndexOf(':') + 1);
  const changed = [...bytes.keys()].map((index) => {
    const copy = Buffer.from(bytes);
    copy[index]! ^= 1;
    return start + copy.toString('base64');
  });
  const damaged = [
    ...changed,
    start,
    sealed.slice(0, -8),
    '\u0001',
    '\u00011:',
    '\u00012:x',
    `\u00011:${'z'.repeat(12)}:AAAA`,
  ];
  const attempts: [string, string, string][] = [
    [sealed, 'task-2', 'prompt'],
    [sealed, 'task-1', 'result'],
    ...damaged.map((value): [string, string, string] => [value, 'task-1', 'prompt']),
  ];
  for (const [value, task_id, column] of attempts) {
    const error = catchError(() => cipher.open(value, task_id, column));
    expect(error, value).toMatchObject({ code: 'INTERNAL_ERROR', isKeyUnknown: false });
    expect(error.message).toBe(
      `the ${column} of task ${task_id} cannot be decrypted: it was damaged, or moved here from another task`,
    );
  }
});

test('a value under a key that is not known names the key', () => {
  const stranger = new Cipher({ current: randomBytes(32), previous: [] });
  const error = catchError(() => stranger.open(cipher.seal('x', 'task', 'log 1 2 stdout'), 'task', 'log 1 2 stdout'));
  expect(error.isKeyUnknown).toBe(true);
  expect(error.message).toBe(
    `the log of task task cannot be decrypted: this server does not know its key ${cipher.currentId}`,
  );
});

test('keys are told apart by twelve digits, which are always the same for a key', () => {
  expect(new Cipher({ current: Buffer.alloc(32), previous: [] }).currentId).toBe('058f6ce0b06e');
  expect(new Cipher({ current: KEY, previous: [] }).currentId).toBe(cipher.currentId);
  expect(new Cipher({ current: randomBytes(32), previous: [] }).currentId).not.toBe(cipher.currentId);
});

function catchError(work: () => unknown): UnreadableError {
  try {
    work();
  } catch (error) {
    if (error instanceof UnreadableError) return error;
    throw error;
  }
  return expect.fail('nothing was thrown');
}
