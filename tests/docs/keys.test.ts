import { operations, Role, type Operation } from '../../packages/contract/src/index.ts';
import { expect, test } from 'vitest';
import { codeOf, codesOf, readDocument, readTable } from './support/markdown.ts';

const page = readDocument('docs/keys.md');

test('the table of roles has every operation that needs a key, with those who may call it', () => {
  const roles = Role.options.filter((role) => role !== 'admin');
  const rows = readTable(page, 'Roles').map(([name, ...cells]) => [
    codeOf(name),
    roles.filter((_role, index) => cells[index] === 'yes'),
  ]);
  const described = listOperations()
    .filter(([, { isPublic }]) => !isPublic)
    .map(([name, operation]) => [name, roles.filter((role) => operation.roles.includes(role))]);
  expect(rows).toEqual(described);
});

test('the operations that the page names are there', () => {
  const names = new Set(listOperations().map(([name]) => name));
  const named = codesOf(page).filter((code) => /^(tasks|events|workers|paths|keys|stats)\.\w+$/.test(code));
  expect(named.filter((name) => !names.has(name))).toEqual([]);
});

function listOperations(): [string, Operation][] {
  return Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, operation]): [string, Operation] => [`${group}.${name}`, operation]),
  );
}
