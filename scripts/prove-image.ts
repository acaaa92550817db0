// `npm run prove:image`: builds the image from the Dockerfile, runs it as a cluster would, and checks what it promises.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DockerfileParser } from 'dockerfile-ast';
import { makeStandIns } from './base-stand-ins.ts';
import { docker, podman, type ContainerEngine } from './container-engine.ts';

const USAGE = `Usage: npm run prove:image [-- --engine podman]

  --engine docker   with Docker, on the bases that the Dockerfile names (default)
  --engine podman   without a registry, as root on Debian with podman, runc and debootstrap: the bases are stand-ins
                    made of Debian's packages and of the Node of this project
`;

const IMAGE = 'task-orchestrator:proof';
const CONTAINER = 'task-orchestrator-proof';
const VOLUME = 'task-orchestrator-proof';
const MOST_BYTES = 250e6;
const READY_WITHIN_MS = 30_000;
const root = join(import.meta.dirname, '..');
const adminKey = randomBytes(24).toString('hex');

/** As small a right to anything as a cluster would leave it. */
const CONFINEMENT = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const DATA = ['--volume', `${VOLUME}:/data`, '--env', `APP_SECURITY_ADMIN_KEY=${adminKey}`];

const { values } = parseArgs({ options: { engine: { type: 'string', default: 'docker' }, help: { type: 'boolean' } } });
if (values.help) process.stdout.write(USAGE);
else if (values.engine === 'docker') await prove(docker());
else if (values.engine === 'podman') await proveOnStandIns();
else {
  process.stderr.write(`--engine ${values.engine}: allowed is docker or podman\n`);
  process.exitCode = 1;
}

async function proveOnStandIns(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'prove-image-'));
  const engine = podman(join(folder, 'storage'));
  try {
    makeStandIns(engine, readBases(), folder);
    await prove(engine);
    say('not proven: the real bases (these are stand-ins), other architectures, health checks on a timer');
  } finally {
    // Not by `system reset`: other containers of this machine share its locks.
    for (const mount of mountsBelow(folder)) execFileSync('umount', ['--lazy', mount]);
    rmSync(folder, { recursive: true, force: true });
  }
}

function mountsBelow(folder: string): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(`${folder}/`));
}

/** The images that the Dockerfile starts from, other than its own stages. */
function readBases(): string[] {
  const froms = DockerfileParser.parse(readFileSync(join(root, 'Dockerfile'), 'utf8')).getFROMs();
  const stages = new Set(froms.map((from) => from.getBuildStage()));
  return [...new Set(froms.map((from) => from.getImage() ?? ''))].filter((image) => !stages.has(image));
}

async function prove(engine: ContainerEngine): Promise<void> {
  engine.build(['--tag', IMAGE, root]);
  proveSize(engine);
  try {
    const first = await startContainer(engine);
    proveConfinement(engine);
    proveHealthCheck(engine);
    proveOneServerPerFile(engine);
    const taskId = await proveLifeOfATask(first);
    proveNothingToReap(engine);
    proveEnd(engine);

    const second = await startContainer(engine);
    const { status } = await ask<Task>(second, 'GET', `tasks/${taskId}`);
    assert.equal(status, 'completed');
    say('the volume keeps what an earlier container wrote');
    proveEnd(engine);
  } finally {
    engine.attempt(['rm', '--force', CONTAINER]);
    engine.attempt(['volume', 'rm', '--force', VOLUME]);
  }
}

function proveSize(engine: ContainerEngine): void {
  const sizes = engine.layerSizes(IMAGE);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const base = sizes.at(-1) ?? 0;
  assert.ok(bytes > base && bytes < MOST_BYTES, `the image has ${bytes} bytes`);
  say(`${toMb(bytes)} MB in all layers: base ${toMb(base)}, ours ${toMb(bytes - base)}`);
}

/** Answers the port on which this machine reaches it. */
async function startContainer(engine: ContainerEngine): Promise<number> {
  const publish = ['--publish', '127.0.0.1::8080'];
  engine.run([
    'run',
    '--detach',
    '--name',
    CONTAINER,
    ...engine.containerArgs,
    ...CONFINEMENT,
    ...DATA,
    ...publish,
    IMAGE,
  ]);
  const port = Number(engine.run(['port', CONTAINER, '8080/tcp']).trim().split(':').at(-1));
  const deadline = performance.now() + READY_WITHIN_MS;
  while (!(await isReady(port))) {
    if (performance.now() > deadline) throw new Error(`not ready: ${engine.attempt(['logs', CONTAINER]).output}`);
    await pause(50);
  }
  return port;
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null);
  return answer?.status === 200;
}

function proveConfinement(engine: ContainerEngine): void {
  const tried = `
    const { writeFileSync } = require('node:fs');
    const write = (path) => { try { writeFileSync(path, ''); return 'written'; } catch ({ code }) { return code; } };
    const program = require('node:fs').readFileSync('/proc/1/cmdline', 'utf8').split('\\0')[0];
    console.log([process.getuid(), program, write('/app/x'), write('/data/x')].join(' '));`;
  assert.equal(engine.run(['exec', CONTAINER, 'node', '-e', tried]).trim(), '1000 node EROFS written');
  say('runs as user 1000 and process 1, without capabilities, on a read-only root; /data can be written');
}

/** The image's own command, as the engine's timer would run it. */
function proveHealthCheck(engine: ContainerEngine): void {
  const command = readHealthCheck(engine);
  engine.run(['exec', CONTAINER, ...command]);
  const wrong = ['exec', '--env', 'APP_SERVER_PORT=9', CONTAINER, ...command];
  const { exitCode, output } = engine.attempt(wrong);
  assert.equal(exitCode, 1);
  assert.match(output, /the server cannot be asked/);
  say('its health check passes, and fails where nobody listens');
}

function readHealthCheck(engine: ContainerEngine): string[] {
  const [image] = JSON.parse(engine.run(['image', 'inspect', IMAGE])) as [
    { Config: { Healthcheck?: { Test: string[] } }; Healthcheck?: { Test: string[] } },
  ];
  // Docker says it in one place, podman in another.
  const [kind, ...command] = (image.Config.Healthcheck ?? image.Healthcheck)?.Test ?? [];
  assert.equal(kind, 'CMD');
  return command;
}

function proveOneServerPerFile(engine: ContainerEngine): void {
  const { exitCode, output } = engine.attempt(['run', '--rm', ...engine.containerArgs, ...CONFINEMENT, ...DATA, IMAGE]);
  assert.equal(exitCode, 1, output);
  assert.match(output, /in use by another server/);
  say(`a second server on the same volume is refused: ${output.trim().split('\n').at(0)}`);
}

async function proveLifeOfATask(port: number): Promise<string> {
  const draft = { work_directory: '/proof', prompt: 'live once' };
  const { task_id: taskId } = await ask<{ task_id: string }>(port, 'POST', 'tasks', draft);
  const worker = { work_path: '/proof', worker_id: 'proof' };
  const { tasks } = await ask<{ tasks: { lease_token: string }[] }>(port, 'POST', 'tasks/acquire', worker);
  const lease_token = tasks[0]?.lease_token;
  await ask(port, 'POST', `tasks/${taskId}/heartbeat`, { lease_token });
  await ask(port, 'POST', `tasks/${taskId}/complete`, { lease_token });
  const { status } = await ask<Task>(port, 'GET', `tasks/${taskId}`);
  assert.equal(status, 'completed');
  say('a task is created, acquired, kept alive and completed over REST');
  return taskId;
}

interface Task {
  status: string;
}

async function ask<Data>(port: number, method: string, path: string, body?: object): Promise<Data> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { data: Data; error: unknown };
  assert.equal(response.status, 200, JSON.stringify(answer.error));
  return answer.data;
}

/** After health checks, which are what an engine starts in a container of ours. */
function proveNothingToReap(engine: ContainerEngine): void {
  const count = `
    const { readdirSync, readFileSync } = require('node:fs');
    const stat = (pid) => { try { return readFileSync('/proc/' + pid + '/stat', 'utf8'); } catch { return ''; } };
    console.log(readdirSync('/proc').filter((pid) => /^\\d+$/.test(pid) && / Z /.test(stat(pid))).length);`;
  assert.equal(engine.run(['exec', CONTAINER, 'node', '-e', count]).trim(), '0');
  say('process 1 has no dead children');
}

function proveEnd(engine: ContainerEngine): void {
  const began = performance.now();
  engine.run(['stop', '-t', '10', CONTAINER]);
  const seconds = (performance.now() - began) / 1000;
  const exitCode = engine.run(['inspect', '--format', '{{.State.ExitCode}}', CONTAINER]).trim();
  engine.run(['rm', CONTAINER]);
  assert.equal(exitCode, '0');
  say(`SIGTERM ends it with exit code 0 in ${seconds.toFixed(1)} s`);
}

function toMb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function say(text: string): void {
  process.stdout.write(`prove-image: ${text}\n`);
}
