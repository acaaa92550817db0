import { expect, test } from 'vitest';
import { readJson } from './read-json.ts';

test.each([
  ['arrays', (depth: number) => '['.repeat(depth) + ']'.repeat(depth)],
  ['objects', (depth: number) => '{"a":'.repeat(depth) + '1' + '}'.repeat(depth)],
  [
    'values after strings that look like ends',
    (depth: number) => '["]]]}\\"\\\\",'.repeat(depth) + '1' + ']'.repeat(depth),
  ],
])('a hundred levels of %s are read, and no more', (_what, nest) => {
  expect(readJson(nest(100), 'body')).toEqual(JSON.parse(nest(100)));
  expect(() => readJson(nest(101), 'body')).toThrow(refusal('must not be nested deeper than 100 levels'));
});

test('breadth is not depth, and brackets in strings are text', () => {
  const text = JSON.stringify([...Array.from({ length: 1000 }, () => ({})), '['.repeat(1000), '\\"[[['.repeat(100)]);
  expect(readJson(text, 'body')).toEqual(JSON.parse(text));
});

test.each(['{"__proto__":1}', '[{"a":{"\\u005f_proto__":{}}}]'])('%s is refused', (text) => {
  expect(() => readJson(text, 'body')).toThrow(refusal('is not allowed as a key'));
});

function refusal(message: string) {
  return expect.objectContaining({ details: expect.objectContaining({ message }) });
}
