import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RealServer } from './real-server.ts';

const run = promisify(execFile);
const PACKAGE = join(import.meta.dirname, '..');
const ROOT = join(PACKAGE, '../..');
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const TSDOWN = join(PACKAGE, 'node_modules/tsdown/dist/run.mjs');

/** What someone writes who has nothing but the package. */
const WORKER = `
import { createClient, Worker, type AcquiredTask } from '@task-orchestrator/client';

declare const process: { env: Record<string, string | undefined>; versions: { node: string } };

const client = createClient({ url: process.env['TORC_URL'] ?? '', apiKey: process.env['TORC_API_KEY'] });
const workPath = \`/srv/node-\${process.versions.node}\`;
const worker = new Worker({
  client,
  workPath,
  handler: async (task: AcquiredTask, { log, signal }) => {
    signal.throwIfAborted();
    log('working');
    return { output: task.prompt.toUpperCase() };
  },
});
const life = worker.run();
const { task_id } = await client.tasks.create({ work_directory: workPath, prompt: 'shout', priority: 'high' });
const { finished } = await client.tasks.waitFor([task_id], { timeoutSeconds: 10 });
for await (const event of client.events.stream({ task_id, last_event_id: '0' })) {
  if (event.type === 'completed') break;
}
await worker.stop();
await life;
console.log(finished[0]?.result?.output);
`;

/** The declarations of the package say what TypeScript infers from the contract. */
const sameTypes = (source: string) => `
import type { OperationTypes as Packed } from '@task-orchestrator/client';
import type { OperationTypes as Inferred } from '${source}';

type Both<A, B> = [A] extends [B] ? ([B] extends [A] ? 'same' : 'packed is wider') : 'packed is narrower';
type Compared = {
  [Group in keyof Inferred]: {
    [Name in keyof Inferred[Group]]: Group extends keyof Packed
      ? Name extends keyof Packed[Group] ? Both<Required<Inferred[Group][Name]>, Required<Packed[Group][Name]>> : 'missing'
      : 'missing';
  };
};
export const all: { [Group in keyof Inferred]: { [Name in keyof Inferred[Group]]: 'same' } } = null as unknown as Compared;
export const names: Inferred['tasks'] extends infer T ? keyof T : never = null as unknown as keyof Packed['tasks'];
`;

let folder: string;
let server: RealServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'torc-pack-'));
  [server] = await Promise.all([RealServer.start(), packAndInstall()]);
}, 120_000);
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

async function packAndInstall(): Promise<void> {
  const { packageManager } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
    packageManager: string;
  };
  // From the contract's sources: its build may be older.
  await run(process.execPath, ['--conditions=to-source', TSDOWN], { cwd: PACKAGE });
  const tarball = join(folder, 'client.tgz');
  await run('npx', ['--yes', packageManager, 'pack', '--out', tarball], { cwd: PACKAGE });
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder });
}

test('an install brings one package and nothing else', async () => {
  const modules = await readdir(join(folder, 'node_modules'));
  expect(modules.filter((name) => !name.startsWith('.'))).toEqual(['@task-orchestrator']);
  await expect(readdir(join(folder, 'node_modules/@task-orchestrator'))).resolves.toEqual(['client']);
});

test('the package needs no zod and no tRPC, neither to run nor to compile', async () => {
  const dist = join(folder, 'node_modules/@task-orchestrator/client/dist');
  // One names packages in its types; the other is for those who have OpenTelemetry.
  const files = (await readdir(dist)).filter((name) => name !== 'trpc.d.ts' && name !== 'opentelemetry.js');
  for (const file of files) {
    expect(await packagesIn(join(dist, file)), file).toEqual([]);
  }
});

test('the subpath for OpenTelemetry needs its API alone, and nothing to compile', async () => {
  const dist = join(folder, 'node_modules/@task-orchestrator/client/dist');
  await expect(packagesIn(join(dist, 'opentelemetry.js'))).resolves.toEqual(['@opentelemetry/api']);
  await writeFile(
    join(folder, 'traced.ts'),
    `import { createClient, Worker } from '@task-orchestrator/client';
import { tracing, type Tracing } from '@task-orchestrator/client/opentelemetry';
const own: Tracing = tracing;
const client = createClient({ url: 'http://localhost', tracing });
export const worker = new Worker({ client, tracing: own, handler: () => 1 });
`,
  );
  await compile('traced.ts', ['--skipLibCheck', 'false', '--types', '', '--noEmit']);
});

/** The packages that a file imports. */
async function packagesIn(file: string): Promise<(string | undefined)[]> {
  const text = await readFile(file, 'utf8');
  const imported = [...text.matchAll(/\bfrom ['"]([^'"]+)['"]|^import ['"]([^'"]+)['"]/gm)].map(
    (match) => match[1] ?? match[2],
  );
  return imported.filter((name) => !name?.startsWith('./'));
}

test('its declarations say what the contract says', async () => {
  await writeFile(join(folder, 'same-types.ts'), sameTypes(relative(folder, join(PACKAGE, 'src/wire.ts'))));
  await compile('same-types.ts', [
    '--customConditions',
    'to-source',
    '--lib',
    'es2024,dom',
    '--skipLibCheck',
    '--types',
    '',
    '--noEmit',
  ]);
});

test('a worker compiles under the strictest settings and runs on the Nodes at hand', async () => {
  await writeFile(join(folder, 'worker.ts'), WORKER);
  await compile('worker.ts', ['--skipLibCheck', 'false', '--types', '']);
  for (const node of new Set([process.execPath, ownNode()])) {
    const env = { TORC_URL: server.url, TORC_API_KEY: server.apiKey };
    const { stdout, stderr } = await run(node, ['worker.js'], { cwd: folder, env });
    expect({ stdout, stderr }).toEqual({ stdout: 'SHOUT\n', stderr: '' });
  }
}, 30_000);

async function compile(file: string, options: string[]): Promise<void> {
  const strict = [
    '--strict',
    '--exactOptionalPropertyTypes',
    '--noUncheckedIndexedAccess',
    '--target',
    'es2022',
    '--module',
    'nodenext',
  ];
  const command = [
    TSC,
    ...strict,
    '--allowImportingTsExtensions',
    '--rewriteRelativeImportExtensions',
    ...options,
    file,
  ];
  await run(process.execPath, command, { cwd: folder }).catch((error: { stdout: string }) => {
    throw new Error(`${file} does not compile:\n${error.stdout}`);
  });
}

/** The Node of the machine, which may be older than the one that the project brings along. */
function ownNode(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((path) => !path.includes('node_modules'));
  return folders.map((path) => join(path, 'node')).find((path) => existsSync(path)) ?? process.execPath;
}
