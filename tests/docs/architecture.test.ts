import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TRANSITIONS } from '../../packages/core/src/domain/task-state.ts';
import { ROOT } from '../support/processes.ts';
import { codeOf, codesOf, listBlocks, readDocument, readTable } from './support/markdown.ts';

const architecture = readDocument('ARCHITECTURE.md');

/** The table says by event from where and to where; a task whose time has come is not scheduled again. */
const NEVER_HAPPENS = ['scheduled --> scheduled: ready'];

test('the diagram of states has every transition of the table, and no other', () => {
  const diagram = listBlocks(architecture, 'mermaid').find((block) => block.startsWith('stateDiagram-v2')) ?? '';
  const arrows = diagram.split('\n').map((line) => line.trim());
  expect(arrows.filter((line) => line.includes('-->')).toSorted()).toEqual(listTransitions().toSorted());
});

test('the data model has every table of the migrations, and no other', () => {
  const named = readTable(architecture, 'Tables').map(([name]) => codeOf(name));
  expect(named.toSorted()).toEqual([...findInMigrations(/CREATE TABLE (\w+)/g), 'schema_migrations'].toSorted());
});

test('the data model has every index of the migrations, and no other', () => {
  const named = readTable(architecture, 'Indexes').map(([name]) => codeOf(name));
  expect(named.toSorted()).toEqual(findInMigrations(/CREATE (?:UNIQUE )?INDEX (\w+)/g).toSorted());
});

test.each(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/threat-model.md'])(
  'every file that %s names is there',
  (name) => {
    const named = codesOf(readDocument(name)).filter((code) => IN_REPOSITORY.test(code) && code !== MADE_BY_USERS);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  },
);

const MADE_BY_USERS = 'config/local.toml';
const IN_REPOSITORY = /^(packages|apps|examples|tests|scripts|config|migrations|bench)\/[\w./-]+$/;
function listTransitions(): string[] {
  const arrows = Object.entries(TRANSITIONS).flatMap(([event, transition]) => {
    const { from, to }: { from: readonly string[]; to: readonly string[] } = transition;
    const starts = from.length === 0 ? ['[*]'] : from;
    return starts.flatMap((start) => to.map((end) => `${start} --> ${end}: ${event}`));
  });
  return arrows.filter((arrow) => !NEVER_HAPPENS.includes(arrow));
}

function findInMigrations(pattern: RegExp): string[] {
  const folder = join(ROOT, 'migrations');
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const names = texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => name));
  // An index whose columns differ between the engines stands there once for each.
  return [...new Set(names)];
}
