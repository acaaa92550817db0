import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../support/processes.ts';
import { readDocument, readTable } from './support/markdown.ts';

const page = readDocument('docs/threat-model.md');

/** All headings but the last one, under which there is nothing to test. */
const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => heading).slice(0, -1);
const rows = headings.flatMap((heading) => readTable(page, heading));

test('every threat has a defence and a test', () => {
  expect(rows.length).toBeGreaterThan(20);
  for (const [threat, defence, tests] of rows) {
    expect(defence, threat).not.toBe('');
    expect(listTests(tests), threat).not.toEqual([]);
  }
});

test('every test that is named is there under that name', () => {
  const named = rows.flatMap(([, , tests]) => listTests(tests));
  expect(named.filter(({ file, name }) => !hasTest(file, name))).toEqual([]);
});

function listTests(cell = ''): { file: string; name: string }[] {
  return [...cell.matchAll(/`([^`]+\.test\.ts)` "([^"]+)"/g)].map(([, file = '', name = '']) => ({ file, name }));
}

/** As the first argument of `test` or `describe`, whatever stands between, such as a table of cases. */
function hasTest(file: string, name: string): boolean {
  const source = readFileSync(join(ROOT, file), 'utf8');
  return ["'", '"', '`'].some((quote) =>
    source
      .split(`${quote}${name}${quote},`)
      .slice(0, -1)
      .some((before) => /\(\s*$/.test(before)),
  );
}
