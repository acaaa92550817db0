import SqliteDatabase from 'better-sqlite3';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { SqliteConnection } from './kysely-dialect.ts';
import { RowWriter } from './row-writer.ts';

function open() {
  const database = new SqliteDatabase(':memory:');
  database.exec('CREATE TABLE tasks (seq INTEGER PRIMARY KEY, a TEXT, b, c INTEGER DEFAULT 7)');
  const writer = new RowWriter(new SqliteConnection(database));
  return { database, writer, read: () => database.prepare('SELECT * FROM tasks ORDER BY seq').all() };
}

// Few values, so that columns often have one in common; and what SQL or a text could stumble over.
const aValue = fc.constantFrom<string | number | null>(null, '', 'x', "it's", '漢字', '{"a":1}', 1_764_000_000_000);
const someRows = (atMost: number) =>
  fc.array(fc.record({ a: fc.constantFrom(null, 'x', 'y'), b: aValue }), { minLength: 1, maxLength: atMost });

test('rows arrive as they are and in their order, however many there are and whatever they have in common', () => {
  fc.assert(
    fc.property(someRows(45), someRows(20), (first, second) => {
      const { writer, read } = open();
      const keys = [...writer.insert('tasks', ['a', 'b'], first), ...writer.insert('tasks', ['a', 'b'], second)];
      const rows = [...first, ...second];
      expect(keys).toEqual(rows.map((_, index) => index + 1));
      expect(read()).toEqual(rows.map((row, index) => ({ seq: index + 1, ...row, c: 7 })));
    }),
  );
});

test('each row is set to its own, and a row that comes again to what came last', () => {
  const updates = fc.array(
    fc.record({ seq: fc.integer({ min: 1, max: 30 }), a: fc.constantFrom('x', 'y'), b: aValue }),
  );
  fc.assert(
    fc.property(updates, (given) => {
      const { writer, read } = open();
      writer.insert(
        'tasks',
        ['a', 'b'],
        Array.from({ length: 30 }, () => ({ a: 'old', b: 'old' })),
      );
      if (given.length > 0) writer.updateTasks(given);
      const last = new Map(given.map(({ seq, ...row }) => [seq, row]));
      expect(read()).toEqual(
        Array.from({ length: 30 }, (_, index) => ({
          seq: index + 1,
          ...(last.get(index + 1) ?? { a: 'old', b: 'old' }),
          c: 7,
        })),
      );
    }),
  );
});

test('sixteen rows are one statement, and what they have in common is bound once', () => {
  const { database, writer } = open();
  const prepare = vi.spyOn(database, 'prepare');
  writer.insert(
    'tasks',
    ['a', 'b'],
    Array.from({ length: 16 }, (_, index) => ({ a: 'x', b: index })),
  );
  const texts = prepare.mock.calls.map(([text]) => text);
  expect(texts).toHaveLength(1);
  expect(texts[0]!.match(/@a/g)).toHaveLength(16);
  expect(texts[0]!.match(/\?/g)).toHaveLength(16);
});
