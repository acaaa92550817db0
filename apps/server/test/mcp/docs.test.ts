import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TOOLS } from '../../src/transports/mcp/tools/all.ts';

const text = await readFile(join(import.meta.dirname, '../../../../docs/mcp.md'), 'utf8');

test('the page lists every tool with the operations that it asks', () => {
  const rows = [...text.matchAll(/^\| `(\w+_\w+)` \| (.+?) \|/gm)].map(([, name, operations = '']) => [
    name,
    operations.split(', ').map((operation) => operation.slice(1, -1)),
  ]);
  expect(rows).toEqual(TOOLS.map(({ definition, operations }) => [definition.name, [...operations]]));
});

test('every example of settings is valid JSON', () => {
  const examples = [...text.matchAll(/```json\n([^`]+)```/g)].map(([, json = '']) => JSON.parse(json) as object);
  expect(examples).toHaveLength(4);
  for (const example of examples) expect(example).toHaveProperty('mcpServers.tasks');
});
