/** One UPDATE sets a row once: rows that come again go into a part after it. */
export function splitRepeated<Item extends { readonly seq: number }>(rows: readonly Item[]): Item[][] {
  const parts: { seen: Set<number>; rows: Item[] }[] = [];
  for (const row of rows) {
    let part = parts.at(-1);
    if (!part || part.seen.has(row.seq)) {
      part = { seen: new Set(), rows: [] };
      parts.push(part);
    }
    part.seen.add(row.seq);
    part.rows.push(row);
  }
  return parts.map(({ rows: distinct }) => distinct);
}
