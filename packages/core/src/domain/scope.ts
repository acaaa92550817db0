import { DomainError } from '../domain-error.ts';
import { isBelow } from './path-tree.ts';

/** Directories that a caller may see and touch, each with everything below; undefined: all there are. */
export type Scope = readonly string[] | undefined;

export function isInScope(directory: string, scope: Scope): boolean {
  return scope === undefined || scope.some((prefix) => prefix === directory || isBelow(directory, prefix));
}

/** @throws FORBIDDEN naming the field, when the directory that the caller named is not within the scope. */
export function requireInScope(field: string, directory: string, scope: readonly string[]): void {
  if (isInScope(directory, scope)) return;
  const message = `must be ${scope.slice(0, SHOWN).join(' or ')}${scope.length > SHOWN ? ' or …' : ''}, or below`;
  throw new DomainError('FORBIDDEN', `this key has no access to ${field} ${directory}`, { field, message });
}

/** Of many prefixes a message shows the first. */
const SHOWN = 5;

/** A directory, with `subtree` also everything below. */
export interface Area {
  readonly path: string;
  readonly subtree: boolean;
}

/** Where to look: what a caller asks for, as far as it is in scope; no two overlap. Undefined: everywhere; empty: nowhere. */
export function findAreas(
  wanted: { readonly work_directory?: string | undefined; readonly subtree?: boolean | undefined },
  scope: Scope,
): readonly Area[] | undefined {
  const { work_directory: path, subtree = false } = wanted;
  if (path !== undefined && isInScope(path, scope)) return [{ path, subtree }];
  // Asked from above, what is below in scope remains.
  const prefixes = path === undefined ? scope : subtree ? scope?.filter((prefix) => isBelow(prefix, path)) : [];
  return prefixes && outermost(prefixes).map((prefix) => ({ path: prefix, subtree: true }));
}

/** Without those that lie within another: no directory is in two of them. */
function outermost(prefixes: readonly string[]): string[] {
  return [...new Set(prefixes)].filter((prefix) => !prefixes.some((other) => isBelow(prefix, other)));
}
