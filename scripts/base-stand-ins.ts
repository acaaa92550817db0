import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ContainerEngine } from './container-engine.ts';

/** What Debian's slim images leave out of a minimal installation. */
const NOT_IN_SLIM = ['usr/share/doc', 'usr/share/man', 'usr/share/info', 'usr/share/locale', 'usr/share/lintian'];
const LEFT_BY_APT = ['var/cache/apt', 'var/lib/apt/lists', 'var/log'];
const CERTIFICATES = 'etc/ssl/certs/ca-certificates.crt';

/**
 * Makes images under the names of the bases where no registry can be reached: Debian by debootstrap, Node from npm's
 * package `node`, which holds the binary of the same release.
 * @param bases such as `debian:13.8-slim` and `node:24.21.0-trixie-slim`.
 */
export function makeStandIns(engine: ContainerEngine, bases: readonly string[], folder: string): void {
  const { debian, node } = identify(bases);
  const system = join(folder, 'debian');
  execFileSync('debootstrap', ['--variant=minbase', node.codename, system], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (const path of [...NOT_IN_SLIM, ...LEFT_BY_APT]) rmSync(join(system, path), { recursive: true, force: true });
  const archive = join(folder, 'debian.tar');
  execFileSync('tar', ['--create', '--file', archive, '--directory', system, '.']);
  engine.run(['import', archive, `docker.io/library/${debian}`]);

  engine.build(['--tag', `docker.io/library/${node.image}`, layNode(node.version, { debian, folder })]);
}

function identify(bases: readonly string[]) {
  const debian = bases.find((base) => base.startsWith('debian:'));
  const [image, version, codename] =
    bases.map((base) => /^node:([\d.]+)-(\w+)-slim$/.exec(base)).find((match) => match !== null) ?? [];
  const known = bases.every((base) => base === debian || base === image);
  if (debian === undefined || image === undefined || version === undefined || codename === undefined || !known) {
    throw new Error(
      `stand-ins are made for debian:<version>-slim and node:<version>-<codename>-slim, not ${bases.join(', ')}`,
    );
  }
  return { debian, node: { image, version, codename } };
}

/** The folder of an image with Node, npm and the certificates that this machine trusts. */
function layNode(version: string, { debian, folder }: { debian: string; folder: string }): string {
  const context = join(folder, 'node');
  const node = join(import.meta.dirname, '..', 'node_modules', 'node', 'bin', 'node');
  const found = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  if (found !== `v${version}`) throw new Error(`the base is Node ${version}, and the project's own is ${found}`);
  const bin = join(context, 'usr', 'local', 'bin');
  const modules = join(context, 'usr', 'local', 'lib', 'node_modules');
  mkdirSync(bin, { recursive: true });
  cpSync(realpathSync(node), join(bin, 'node'));
  cpSync(findNpm(), join(modules, 'npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'));
  const variables = trustCertificates(context);
  writeFileSync(join(context, 'Dockerfile'), `FROM docker.io/library/${debian}\nCOPY usr /usr\n${variables}`);
  return context;
}

function findNpm(): string {
  const command = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim();
  return dirname(dirname(realpathSync(command)));
}

/** Behind a proxy that signs anew, packages are only fetched by who trusts it. */
function trustCertificates(context: string): string {
  if (!existsSync(`/${CERTIFICATES}`)) return '';
  mkdirSync(join(context, dirname(CERTIFICATES)), { recursive: true });
  cpSync(`/${CERTIFICATES}`, join(context, CERTIFICATES), { dereference: true });
  return `COPY etc /etc\nENV NODE_EXTRA_CA_CERTS=/${CERTIFICATES} npm_config_cafile=/${CERTIFICATES}\n`;
}
