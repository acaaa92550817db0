// Runs on any Node >= 18 with nothing installed: what `npm start` and `npm test` need to bring the workspace up.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** A small young generation: requests leave little behind, and the server stays 100 MB smaller under load. */
export const serverFlags = JSON.parse(readFileSync(new URL('server-flags.json', import.meta.url), 'utf8'));

/** Few arenas of glibc's malloc: else each thread in which V8 compiles keeps some MB for itself. */
export const serverEnv = JSON.parse(readFileSync(new URL('server-env.json', import.meta.url), 'utf8'));

const modules = join(root, 'node_modules');
/** The Node that the project runs on, whatever Node runs this script. */
const projectNode = join(modules, 'node', 'bin', 'node');

const env = {
  ...process.env,
  PATH: join(modules, '.bin') + delimiter + process.env.PATH,
  TURBO_TELEMETRY_DISABLED: '1',
};

/** Installs the dependencies unless those installed are the ones that the lockfile and the manifests ask for. */
export function ensureInstalled() {
  const { manifests } = readWorkspace();
  const state = hash(manifests, (file) => readFileSync(file));
  if (existsSync(projectNode) && readStamp('install') === state) return;
  quietly('install', ['install', '--frozen-lockfile'], 'Is the network there, and the package registry?');
  if (!existsSync(projectNode)) fail('install: the "node" package brought no binary for this platform');
  writeStamp('install', state);
}

/** Builds the workspace unless its sources are those of the last build. */
export function ensureBuilt() {
  const { manifests, built, sources } = readWorkspace();
  const state = hash([...manifests, ...sources], (file) => {
    const { size, mtimeMs } = statSync(file);
    return `${size} ${mtimeMs}`;
  });
  const isBuilt = built.every((folder) => existsSync(join(folder, 'dist')));
  if (isBuilt && readStamp('build') === state) return;
  rmSync(stampFile('build'), { force: true });
  quietly('build', ['run', 'build'], 'The lines above are the end of its output.');
  writeStamp('build', state);
}

/** Runs a script of the root manifest and answers whether it succeeded. */
export function runScript(name) {
  return pnpm(['run', name], { stdio: 'inherit' }).status === 0;
}

/** Runs the project's Node in the root folder and answers whether it succeeded. */
export function runNode(args) {
  return spawnSync(projectNode, args, { cwd: root, env, stdio: 'inherit' }).status === 0;
}

/**
 * Runs the project's Node in the caller's folder until it ends, then ends this process the same way.
 * A terminal sends Ctrl-C to both processes, so SIGINT is passed on only without one: a server may take a second as "now".
 */
export function becomeNode(args, defaults = {}) {
  const child = spawn(projectNode, args, { stdio: 'inherit', env: { ...defaults, ...env } });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  child.on('error', (error) => fail(`${projectNode} does not start: ${error.message}`));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

export function say(text) {
  process.stderr.write(`task-orchestrator: ${text}\n`);
}

export function fail(text) {
  say(text);
  process.exit(1);
}

function quietly(label, args, hint) {
  say(`${label} ...`);
  const began = Date.now();
  const { status, stdout, stderr, error } = pnpm(args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  if (error) fail(`${label} failed: npx does not start (${error.message}). npm is needed.`);
  if (status !== 0) {
    process.stderr.write(`${`${stdout}${stderr}`.trimEnd().split('\n').slice(-30).join('\n')}\n`);
    fail(`${label} failed. ${hint}`);
  }
  say(`${label} done in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}

/** npx serves pnpm, so that npm is all that a machine must have; turbo finds the same pnpm on its path. */
function pnpm(args, options) {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return spawnSync('npx', ['--yes', packageManager, ...args], {
    cwd: root,
    // CI: pnpm never asks, not even when it has to replace node_modules.
    env: { ...env, CI: 'true' },
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
}

function readWorkspace() {
  const inside = (folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []);
  const folders = [
    ...['packages', 'apps'].flatMap((group) => inside(join(root, group))),
    join(root, 'examples'),
    join(root, 'bench'),
  ].filter((folder) => existsSync(join(folder, 'package.json')));
  const manifests = [
    ...['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'].map((name) => join(root, name)),
    ...folders.map((folder) => join(folder, 'package.json')),
  ];
  const built = folders.filter(hasBuild);
  const sources = [root, ...built].flatMap((folder) => filesIn(folder, folder !== root));
  return { built, manifests, sources };
}

/** The others (`bench`) run as they are. */
function hasBuild(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts?.build !== undefined;
}

/** Files that a build may read: in the root only its configuration, in a package everything but what tools left there. */
function filesIn(folder, deep) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isFile()) return deep || /^(tsconfig.*|turbo)\.json$/.test(entry.name) ? [path] : [];
    const skipped = !deep || entry.name.startsWith('.') || ['node_modules', 'dist'].includes(entry.name);
    return entry.isDirectory() && !skipped ? filesIn(path, true) : [];
  });
}

function hash(files, describe) {
  const digest = createHash('sha256');
  for (const file of files.sort()) digest.update(`${file}\0`).update(describe(file)).update('\0');
  return digest.digest('hex');
}

function stampFile(name) {
  return join(modules, '.cache', 'task-orchestrator', name);
}

function readStamp(name) {
  return existsSync(stampFile(name)) ? readFileSync(stampFile(name), 'utf8') : undefined;
}

function writeStamp(name, state) {
  mkdirSync(join(modules, '.cache', 'task-orchestrator'), { recursive: true });
  writeFileSync(stampFile(name), state);
}
