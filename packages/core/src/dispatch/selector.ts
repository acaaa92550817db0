import { isBelow } from '../domain/path-tree.ts';

/** Which tasks a worker may take. */
export interface Selector {
  /** Null: any path. */
  readonly paths: readonly string[] | null;
  readonly subtree: boolean;
  readonly tagsAny: readonly string[] | null;
}

export function createSelector(input: {
  work_path?: string | undefined;
  work_paths?: readonly string[] | undefined;
  subtree: boolean;
  tags_any?: readonly string[] | undefined;
}): Selector {
  const named = [...(input.work_path === undefined ? [] : [input.work_path]), ...(input.work_paths ?? [])];
  return {
    paths: named.length === 0 ? null : [...new Set(named)],
    subtree: input.subtree,
    tagsAny: input.tags_any ?? null,
  };
}

export function selectsPath({ paths, subtree }: Selector, path: string): boolean {
  if (paths === null) return true;
  return paths.some((selected) => selected === path || (subtree && isBelow(path, selected)));
}

/** All tasks of one path and no others: two such that differ have nothing in common. */
export function selectsOnePath({ paths, subtree, tagsAny }: Selector): boolean {
  return paths?.length === 1 && !subtree && tagsAny === null;
}

/** Equal for selectors that select the same. */
export function selectorKey({ paths, subtree, tagsAny }: Selector): string {
  return JSON.stringify([paths, subtree, tagsAny]);
}
