import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Every process that this benchmark started and that has not ended yet: nothing else is ever ended. */
const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) for (const pid of treeOf(child.pid)) signal(pid, 'SIGKILL');
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => process.exit(1));

export function launch(command: readonly string[], options: SpawnOptions): ChildProcess {
  const [file, ...args] = command;
  if (file === undefined) throw new Error('nothing to launch');
  const child = spawn(file, args, options);
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Asks the process under `prefix` commands (strace) to end, and makes it after `graceMs`. */
export async function endTree(child: ChildProcess, name: NodeJS.Signals, graceMs = 10_000): Promise<void> {
  if (hasEnded(child)) return;
  const [root, ...below] = treeOf(child.pid);
  const target = isTracer(root) ? below[0] : root;
  if (target !== undefined) signal(target, name);
  for (const deadline = performance.now() + graceMs; !hasEnded(child) && performance.now() < deadline;) await sleep(20);
  if (hasEnded(child)) return;
  for (const pid of treeOf(child.pid)) signal(pid, 'SIGKILL');
  while (!hasEnded(child)) await sleep(20);
}

/** A process and all below it, itself first. */
export function treeOf(root: number | undefined): number[] {
  if (root === undefined) return [];
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? Number(statFields(pid)?.[1]) : NaN;
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const below = (pid: number): number[] => [pid, ...(children.get(pid) ?? []).flatMap(below)];
  return below(root);
}

/** Sum of the highest resident sizes since each process started, in MiB. Shared pages count once a process. */
export function peakRssMib(pids: readonly number[]): number {
  return sumOf(pids, (pid) => Number(/^VmHWM:\s+(\d+)/m.exec(readProc(pid, 'status') ?? '')?.[1] ?? 0)) / 1024;
}

/** Sum of the proportional sizes now, in MiB: shared pages count once in all. */
export function pssMib(pids: readonly number[]): number {
  return sumOf(pids, (pid) => Number(/^Pss:\s+(\d+)/m.exec(readProc(pid, 'smaps_rollup') ?? '')?.[1] ?? 0)) / 1024;
}

/** Clock ticks of `/proc/<pid>/stat`; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Seconds of processor time that the processes have used so far. */
export function cpuSeconds(pids: readonly number[]): number {
  return sumOf(pids, (pid) => {
    const fields = statFields(pid);
    return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND : 0;
  });
}

/** Bytes that the processes have sent towards a disk so far. */
export function diskBytes(pids: readonly number[]): number {
  return sumOf(pids, (pid) => Number(/^write_bytes: (\d+)/m.exec(readProc(pid, 'io') ?? '')?.[1] ?? 0));
}

/** Fields of `/proc/<pid>/stat` from the state on; the name before it may hold anything. */
function statFields(pid: number): string[] | undefined {
  const stat = readProc(pid, 'stat');
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Processes come and go while `/proc` is read. */
function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

function isTracer(pid: number | undefined): boolean {
  return pid !== undefined && readProc(pid, 'comm')?.trim() === 'strace';
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

function sumOf(pids: readonly number[], measure: (pid: number) => number): number {
  return pids.reduce((sum, pid) => sum + measure(pid), 0);
}
