import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SEALED_COLUMNS } from '../../packages/core/src/encryption/stale-rows.ts';
import { ROOT } from '../support/processes.ts';
import { codesOf, readDocument, readTable } from './support/markdown.ts';

const page = readDocument('docs/encryption.md');
const encrypted = columnsUnder('What is encrypted');

test('the page names the columns that are encrypted', () => {
  const sealed = Object.entries(SEALED_COLUMNS).flatMap(([table, names]) => names.map((name) => `${table}.${name}`));
  expect(encrypted).toEqual(sealed);
});

test('every column of text is said to be encrypted or not to be', () => {
  expect([...encrypted, ...columnsUnder('What is not')].toSorted()).toEqual(listTextColumns().toSorted());
});

function columnsUnder(heading: string): string[] {
  return readTable(page, heading).flatMap(([columns]) => codesOf(columns));
}

function listTextColumns(): string[] {
  const folder = join(ROOT, 'migrations');
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const tables = texts.flatMap((text) => [...text.matchAll(/CREATE TABLE (\w+) \(\n(.*?)\n\);/gs)]);
  return tables.flatMap(([, table, body = '']) =>
    [...body.matchAll(/^ {2}(\w+) (?:TEXT|\{text\})/gm)].map(([, column]) => `${table}.${column}`),
  );
}
