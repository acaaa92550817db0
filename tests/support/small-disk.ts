import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A file system in memory that holds so many bytes; the end of the test removes it. */
export class SmallDisk {
  readonly folder: string;
  readonly #ballast: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#ballast = join(folder, 'ballast');
  }

  /** @param ballastBytes taken at once, for `giveRoom` to give back. */
  static mount(bytes: number, { ballastBytes = 0 }: { ballastBytes?: number } = {}): SmallDisk {
    const folder = mkdtempSync(join(tmpdir(), 'torc-disk-'));
    onTestFinished(() => {
      asRoot('umount', '--lazy', folder);
      rmSync(folder, { recursive: true });
    });
    asRoot('mount', '-t', 'tmpfs', '-o', `size=${bytes},mode=777`, 'tmpfs', folder);
    const disk = new SmallDisk(folder);
    writeFileSync(disk.#ballast, Buffer.alloc(ballastBytes));
    return disk;
  }

  giveRoom(): void {
    rmSync(this.#ballast);
  }

  makeReadOnly(): void {
    asRoot('mount', '-o', 'remount,ro', this.folder);
  }
}

/** Whether this user may mount. Where not, the tests that need it are skipped, and say so. */
export const canMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), 'torc-disk-'));
  try {
    asRoot('mount', '-t', 'tmpfs', '-o', 'size=4096', 'tmpfs', folder);
    asRoot('umount', folder);
    return true;
  } catch {
    console.warn('NOT TESTED: what happens on a full disk, since this user may not mount a small one');
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

function asRoot(command: string, ...args: string[]): void {
  const isRoot = process.getuid?.() === 0;
  execFileSync(isRoot ? command : 'sudo', isRoot ? args : ['-n', command, ...args], { stdio: 'pipe' });
}
