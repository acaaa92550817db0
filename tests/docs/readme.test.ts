import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operations, HTTP_STATUS, TaskStatus, type Operation } from '../../packages/contract/src/index.ts';
import { expect, test } from 'vitest';
import { Config } from '../../apps/server/src/config/config.ts';
import { findByteSize } from '../../apps/server/src/config/byte-size.ts';
import { fields, listValues } from '../../apps/server/src/config/fields.ts';
import { TRANSITIONS } from '../../packages/core/src/domain/task-state.ts';
import { ROOT } from '../support/processes.ts';
import { ServerProcess } from '../support/server-process.ts';
import { OutputComparer } from './support/compare-output.ts';
import { readSteps, runSteps } from './support/console-session.ts';
import { startFirst } from './support/first-start.ts';
import { codeOf, codesOf, listBlocks, readDocument, readTable } from './support/markdown.ts';

const readme = readDocument('README.md');
const ADDRESS = 'http://localhost:8080';

test('a first start prints what the README shows, and its tour gives the answers that the README shows', async () => {
  const { folder, url, banner } = await startFirst();
  const comparer = new OutputComparer();
  const shownBanner = listBlocks(readme, 'text').find((block) => block.startsWith('Admin key'));
  comparer.compare({
    shown: shownBanner?.replaceAll(ADDRESS, url) ?? 'no banner',
    printed: banner.replace(`${folder}/`, ''),
    command: 'npm start',
  });

  const steps = listBlocks(readme, 'console')
    .flatMap(readSteps)
    .map(({ command, shown }) => ({ command: command.replaceAll(ADDRESS, url), shown }));
  expect(steps.length).toBeGreaterThan(20);
  const outputs = await runSteps(steps, folder);
  for (const [index, { command, shown }] of steps.entries()) {
    comparer.compare({ command, shown, printed: outputs[index] ?? '' });
  }
});

test('the worker in the README is examples/worker.ts', () => {
  const code = readFileSync(join(ROOT, 'examples/worker.ts'), 'utf8');
  expect(listBlocks(readme, 'ts')).toContain(code);
});

test('the table of statuses has every status and every way on', () => {
  const rows = readTable(readme, 'Statuses').map(([status, , next]) => [codeOf(status), ways(codesOf(next))]);
  expect(Object.fromEntries(rows)).toEqual(
    Object.fromEntries(TaskStatus.options.map((status) => [status, waysOnFrom(status)])),
  );
});

test('the table of operations has every operation with its route', () => {
  const rows = readTable(readme, 'Operations').map(([name, route]) => `${codeOf(name)} ${codeOf(route)}`);
  expect(rows.toSorted()).toEqual(listOperations().toSorted());
});

test('the table of errors has every code with its HTTP status', () => {
  const rows = readTable(readme, 'Errors').map(([code, status]) => [codeOf(code), Number(status)]);
  expect(Object.fromEntries(rows)).toEqual(HTTP_STATUS);
});

test('the table of configuration has every key with its default', () => {
  const rows = readTable(readme, 'Configuration').map(([key, value]) => [codeOf(key), codesOf(value)[0]]);
  const values = new Map(listValues(Config.parse({})).map(({ field, value }) => [field.key, value]));
  expect(rows.map(([key]) => key)).toEqual(fields.map(({ key }) => key));
  for (const [key, shown] of rows) {
    expect(readDefault(shown), key).toEqual(values.get(key as (typeof fields)[number]['key']));
  }
});

test('the table of metrics has every metric that a server shows, with its type', async () => {
  const server = await ServerProcess.start();
  const types = (await server.text('/metrics')).matchAll(/^# TYPE (\w+) (\w+)$/gm);
  const served = [...types]
    .map(([, name, type]) => [name, type])
    .filter(([name]) => !/^(process|nodejs)_/.test(name ?? ''));
  const rows = readTable(readme, 'Metrics').map(([name, type]) => [codeOf(name), type]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(served));
});

function waysOnFrom(status: TaskStatus): string[] {
  const transitions: { from: readonly string[]; to: readonly string[] }[] = Object.values(TRANSITIONS);
  return ways(
    transitions.flatMap(({ from, to }) => (from.includes(status) ? to : [])).filter((next) => next !== status),
  );
}

function ways(statuses: readonly string[]): string[] {
  return [...new Set(statuses)].filter((status) => status !== 'retry').toSorted();
}

function listOperations(): string[] {
  return Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, { method, path }]) => `${group}.${name} ${method} ${path}`),
  );
}

/** A default as the table writes it; bytes may have a unit, and what is not set is a dash without backticks. */
function readDefault(shown: string | undefined): unknown {
  if (shown === undefined) return undefined;
  if (/^(\d+|true|false|\[.*\])$/.test(shown)) return JSON.parse(shown);
  return findByteSize(shown) ?? shown;
}
