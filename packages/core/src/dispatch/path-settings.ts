import type { Selectable } from 'kysely';
import type { Database } from '../db/schema.ts';
import { isBelow, overlaps } from '../domain/path-tree.ts';

export type PathSetting = Selectable<Database['paths']>;

/** The settings of paths, as last read from the database; few, so they are kept whole. */
export class PathSettings {
  readonly #byPath = new Map<string, PathSetting>();
  #paused: PathSetting[] = [];
  #limited: PathSetting[] = [];

  replaceAll(settings: readonly PathSetting[]): void {
    this.#byPath.clear();
    for (const setting of settings) this.#byPath.set(setting.path, setting);
    this.#paused = settings.filter(({ paused }) => paused === 1);
    this.#limited = settings.filter(({ max_concurrent }) => max_concurrent !== null);
  }

  set(setting: PathSetting): void {
    this.replaceAll([...[...this.#byPath.values()].filter(({ path }) => path !== setting.path), setting]);
  }

  get(path: string): PathSetting | undefined {
    return this.#byPath.get(path);
  }

  weightOf(path: string): number {
    return this.#byPath.get(path)?.weight ?? 1;
  }

  /** A paused path holds back itself and everything below. */
  isPaused(directory: string): boolean {
    return this.#paused.some(({ path }) => path === directory || isBelow(directory, path));
  }

  hasPauses(): boolean {
    return this.#paused.length > 0;
  }

  hasLimits(): boolean {
    return this.#limited.length > 0;
  }

  /** The limited paths that a task in `directory` counts towards. */
  limitsOver(directory: string): { path: string; max: number }[] {
    return this.#limited
      .filter(({ path }) => overlaps(path, directory))
      .map(({ path, max_concurrent }) => ({ path, max: max_concurrent! }));
  }
}
