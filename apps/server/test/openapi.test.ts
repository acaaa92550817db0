import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { operations, type Operation } from '@task-orchestrator/contract';
import { expect, onTestFinished, test } from 'vitest';
import { createOpenApiDocument } from '../src/transports/openapi/document.ts';
import { exampleOf } from '../src/transports/openapi/examples.ts';
import { startApp } from './start-app.ts';

const document = createOpenApiDocument({ version: '1.2.3' });
const named = Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
  Object.entries(members).map(([name, operation]) => ({ name: `${group}.${name}`, operation })),
);

test('the document has no error and no warning for the linter', () => {
  const folder = mkdtempSync(join(tmpdir(), 'openapi-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'openapi.json');
  writeFileSync(file, JSON.stringify(document));
  const manifest = fileURLToPath(import.meta.resolve('@redocly/cli/package.json'));
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [join(dirname(manifest), 'bin/cli.js'), 'lint', file, '--format=stylish'],
    {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
    },
  );
  expect(status, stdout + stderr).toBe(0);
  expect(stdout + stderr).not.toMatch(/ (error|warning) /);
});

test.for(named)('$name is described at its method and path', ({ name, operation }) => {
  const described = document.paths[operation.path]?.[operation.method.toLowerCase()];
  expect(described).toMatchObject({ operationId: name, summary: operation.summary });
  const inPath = described?.parameters?.filter((parameter) => parameter.in === 'path') ?? [];
  expect(inPath.map((parameter) => `{${parameter.name}}`)).toEqual(operation.path.match(/\{\w+\}/g) ?? []);
  for (const code of operation.errors ?? []) expect(JSON.stringify(described?.responses)).toContain(code);
});

test.for(named)('the example of $name is what the contract allows', ({ name, operation }) => {
  const { input, output } = exampleOf(name);
  expect(() => operation.input.parse(input)).not.toThrow();
  expect(operation.output.parse(output)).toEqual(output);
});

test('every reference points at something', () => {
  const references = JSON.stringify(document).match(/"\$ref":"[^"]+"/g) ?? [];
  for (const reference of new Set(references)) {
    const [, , section = '', name = ''] = reference.slice('"$ref":"'.length, -1).split('/').slice(0);
    const components: Record<string, Record<string, unknown>> = { ...document.components };
    expect(components[section]?.[name], reference).toBeDefined();
  }
});

test('a schema that differs for callers has a name of its own', () => {
  const { TaskResult, TaskResultInput } = document.components.schemas;
  expect(TaskResult?.required).toContain('status');
  expect(TaskResultInput?.required ?? []).not.toContain('status');
});

test('the document is served at /openapi.json', async () => {
  const { ask } = await startApp();
  const answer = await ask('GET', '/openapi.json', { isAnonymous: true });
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(answer.json.openapi).toBe('3.1.0');
});

test('the docs page names every operation, and lets nothing be loaded or run', async () => {
  const { ask } = await startApp();
  const answer = await ask('GET', '/docs', { isAnonymous: true });
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /);
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(answer.text) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  expect(answer.headers.get('content-security-policy')).toContain(`style-src 'sha256-${hash}'`);
  expect(answer.text).not.toMatch(/<script|<link rel="stylesheet"|@import|src="http|url\(/);
  for (const { name } of named) expect(answer.text).toContain(`id="${name}"`);
  const targets = [...answer.text.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
  expect(targets.filter((id) => !answer.text.includes(`id="${id}"`))).toEqual([]);
});
