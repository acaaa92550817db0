/** Paths are normalised by the contract: absolute, `/` between segments, no `/` at the end except the root's. */

/** `/a/b/c` → `['/a/b', '/a', '/']`; `C:/a` → `['C:/']`. */
export function ancestorsOf(path: string): string[] {
  const root = rootOf(path);
  const ancestors: string[] = [];
  for (let current = path; current !== root;) {
    const cut = current.lastIndexOf('/');
    current = cut < root.length ? root : current.slice(0, cut);
    ancestors.push(current);
  }
  return ancestors;
}

export function isBelow(path: string, ancestor: string): boolean {
  if (path.length <= ancestor.length || !path.startsWith(ancestor)) return false;
  return ancestor.endsWith('/') || path[ancestor.length] === '/';
}

/** The same directory, or one above the other. */
export function overlaps(a: string, b: string): boolean {
  return a === b || isBelow(a, b) || isBelow(b, a);
}

/** Everything strictly below `path` sorts between these: `after` exclusive, `before` exclusive. */
export function rangeBelow(path: string): { after: string; before: string } {
  const prefix = path.endsWith('/') ? path.slice(0, -1) : path;
  // '0' is the character after '/' in byte order.
  return { after: `${prefix}/`, before: `${prefix}0` };
}

function rootOf(path: string): string {
  return path.startsWith('/') ? '/' : path.slice(0, 3);
}
