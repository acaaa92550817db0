import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DockerfileParser } from 'dockerfile-ast';
import { validate, ValidationSeverity } from 'dockerfile-utils';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../support/processes.ts';
import { API_KEY, ServerProcess } from '../support/server-process.ts';

const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const dockerfile = DockerfileParser.parse(text);
const instructions = dockerfile
  .getInstructions()
  .map((each) => ({ keyword: each.getKeyword(), argument: each.getArgumentsContent() ?? '' }));
const argumentsOf = (keyword: string) =>
  instructions.filter((each) => each.keyword === keyword).map(({ argument }) => argument);

test('a linter finds nothing in the Dockerfile', () => {
  const { ERROR } = ValidationSeverity;
  const settings = { emptyContinuationLine: ERROR, instructionCasing: ERROR, instructionWorkdirRelative: ERROR };
  expect(validate(text, settings)).toEqual([]);
});

test('the image has the Node and the pnpm of the project, and every base is pinned by full version', () => {
  const { packageManager } = readJson('package.json') as { packageManager: string };
  const { catalog } = parse(readFileSync(join(ROOT, 'pnpm-workspace.yaml'), 'utf8')) as { catalog: { node: string } };
  const bases = dockerfile.getFROMs().map((from) => from.getImage());
  expect(bases).toEqual([
    `node:${catalog.node}-trixie-slim`,
    `node:${catalog.node}-trixie-slim`,
    expect.stringMatching(/^debian:\d+\.\d+-slim$/),
  ]);
  expect(argumentsOf('RUN')).toContain(`npm install --global ${packageManager}`);
});

test('the image starts the server as `npm start` does, and as a user who is not root', () => {
  const flags = readJson('scripts/server-flags.json') as string[];
  const [entry] = argumentsOf('ENTRYPOINT');
  expect(JSON.parse(entry ?? '')).toEqual(['node', ...flags, 'apps/server/dist/main.js']);
  const env = argumentsOf('ENV').at(-1);
  const variables = env?.split(/\s+/).map((each) => each.split('='));
  expect(Object.fromEntries(variables ?? [])).toMatchObject(readJson('scripts/server-env.json') as object);
  expect(argumentsOf('USER')).toEqual(['1000:1000']);
});

test('the health check passes while the server is ready, and says why when it is not', async () => {
  const server = await ServerProcess.start();
  await expect(checkHealth(server.port)).resolves.toMatchObject({ stdout: '', stderr: '' });
  await server.kill();
  await expect(checkHealth(server.port)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^the server cannot be asked: .*ECONNREFUSED.*\n$/),
  });
});

test('a health check with a bad configuration names what is wrong', async () => {
  await expect(checkHealth('http')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('server.port = "http" (from environment variable APP_SERVER_PORT)'),
  });
});

function checkHealth(port: number | string) {
  return promisify(execFile)(
    process.execPath,
    ['--conditions=to-source', join(ROOT, 'apps/server/src/check-health.ts')],
    {
      cwd: ROOT,
      env: { APP_ENV: 'test', APP_SERVER_PORT: String(port), APP_SECURITY_ADMIN_KEY: API_KEY },
    },
  );
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(ROOT, file), 'utf8'));
}
