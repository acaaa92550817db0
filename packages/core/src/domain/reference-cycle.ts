/**
 * A cycle among named nodes, as the names along it with the first one again at the end; null if there is none.
 * Names that are no nodes are left out.
 */
export function findCycle(edges: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  for (const start of edges.keys()) {
    // Depth first with an explicit stack: a chain of 1,000 tasks is not a deep recursion.
    const path: string[] = [];
    const onPath = new Set<string>();
    const stack: { node: string; isLeaving: boolean }[] = [{ node: start, isLeaving: false }];
    while (stack.length > 0) {
      const { node, isLeaving } = stack.pop()!;
      if (isLeaving) {
        path.pop();
        onPath.delete(node);
        done.add(node);
        continue;
      }
      if (onPath.has(node)) return [...path.slice(path.indexOf(node)), node];
      if (done.has(node)) continue;
      path.push(node);
      onPath.add(node);
      stack.push({ node, isLeaving: true });
      for (const next of edges.get(node) ?? []) if (edges.has(next)) stack.push({ node: next, isLeaving: false });
    }
  }
  return null;
}
