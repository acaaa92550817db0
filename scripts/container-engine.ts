import { execFileSync, spawnSync } from 'node:child_process';

export type EngineName = 'docker' | 'podman';

export interface ContainerEngine {
  name: EngineName;
  /** Runs a command of the engine and answers what it printed. Throws with what it complained of. */
  run(args: readonly string[]): string;
  /** The same, whatever its exit code is. */
  attempt(args: readonly string[]): { exitCode: number | null; output: string };
  build(args: readonly string[]): void;
  /** Bytes of each layer of an image, the base last. */
  layerSizes(image: string): number[];
  /** Arguments that every container needs on this engine. */
  containerArgs: readonly string[];
}

/** Docker as it stands. */
export function docker(): ContainerEngine {
  const engine = createEngine('docker', { build: ['--load'] });
  const layerSizes = (image: string) =>
    engine.run(['history', '--human=false', '--format', '{{.Size}}', image]).trim().split('\n').map(Number);
  return { ...engine, layerSizes };
}

/**
 * Podman as Debian has it, on storage of its own and on a machine that may have neither systemd (so no timers for
 * health checks) nor one version of cgroups (so runc instead of crun, and builds by chroot).
 */
export function podman(storage: string): ContainerEngine {
  const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
  const engine = createEngine('podman', {
    global: ['--root', `${storage}/root`, '--runroot', `${storage}/run`, '--runtime', 'runc'],
    // The format of OCI has no health check.
    build: ['--isolation', 'chroot', '--network', 'host', '--format', 'docker', '--pull=never', ...platformArgs()],
    container: ['--no-healthcheck', ...limits],
  });
  const layerSizes = (image: string) =>
    (JSON.parse(engine.run(['history', '--format', 'json', image])) as { size: number }[]).map(({ size }) => size);
  return { ...engine, layerSizes };
}

function createEngine(
  name: EngineName,
  args: { global?: readonly string[]; build?: readonly string[]; container?: readonly string[] },
): Omit<ContainerEngine, 'layerSizes'> {
  const { global = [], build = [], container = [] } = args;
  return {
    name,
    containerArgs: container,
    run: (rest) => execFileSync(name, [...global, ...rest], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    attempt(rest) {
      const { status, stdout, stderr } = spawnSync(name, [...global, ...rest], { encoding: 'utf8' });
      return { exitCode: status, output: `${stdout}${stderr}` };
    },
    build: (rest) => execFileSync(name, [...global, 'build', ...build, ...rest], { stdio: 'inherit' }),
  };
}

/** What BuildKit sets by itself. */
function platformArgs(): string[] {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  return ['--build-arg', `TARGETARCH=${architecture}`];
}
