import { sql, type RawBuilder, type SqlBool } from 'kysely';
import type { Engine } from '../db/engine.ts';
import { BAND_BITS } from '../domain/band.ts';
import { matchesFilter, splitByArea, type ScopedFilter } from './filter.ts';

/** Creation numbers, both ends included. */
export interface SeqRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Creation numbers of the first `limit` tasks that match, in one direction, by the index tasks_directory: a few of its bands
 * at a time, and ever more, until there are enough. Of several areas each is looked through by itself.
 */
export async function findInBands(engine: Engine, page: BandPage): Promise<number[]> {
  const parts = splitByArea(page.filter);
  if (parts.length === 1) return findInArea(engine, { ...page, filter: parts[0]! });
  const found: number[] = [];
  for (const filter of parts) found.push(...(await findInArea(engine, { ...page, filter })));
  return found.toSorted((a, b) => (page.direction === 'asc' ? a - b : b - a)).slice(0, page.limit);
}

interface BandPage {
  readonly filter: ScopedFilter;
  readonly range: SeqRange;
  readonly direction: 'asc' | 'desc';
  readonly limit: number;
}

async function findInArea(engine: Engine, page: BandPage): Promise<number[]> {
  const { range, direction, limit } = page;
  // As a parameter, since a status that is written out would draw SQLite to the index of that status.
  const { status, ...filter } = page.filter;
  const statuses = status === undefined ? null : [status].flat();
  const bands = await listBands(engine, range);
  if (direction === 'desc') bands.reverse();
  const found: number[] = [];
  for (let start = 0, size = 1; start < bands.length && found.length < limit; start += size, size *= 2) {
    let query = engine.reader.kysely.selectFrom('tasks').select('seq').where(matchesFilter(filter, engine.dialect));
    if (statuses !== null) query = query.where('status', 'in', statuses);
    const rows = await query
      .where('seq', '>=', range.from)
      .where('seq', '<=', range.to)
      .where(isInBands(bands.slice(start, start + size)))
      .orderBy('seq', direction)
      .limit(limit - found.length)
      .execute();
    found.push(...rows.map(({ seq }) => seq));
  }
  return found;
}

/** Names every band, so that a condition on the directory can seek in each. */
export async function isInSomeBand(engine: Engine): Promise<RawBuilder<SqlBool>> {
  return isInBands(await listBands(engine, { from: 0, to: Number.MAX_SAFE_INTEGER }));
}

function isInBands(bands: readonly number[]): RawBuilder<SqlBool> {
  return sql`seq >> ${sql.lit(BAND_BITS)} IN (SELECT value FROM json_each(${JSON.stringify(bands)}))`;
}

/** Bands in which there may be tasks of the range, in order. */
async function listBands({ reader }: Engine, range: SeqRange): Promise<number[]> {
  const { lowest, highest } = await reader.kysely
    .selectNoFrom(({ selectFrom }) => [
      selectFrom('tasks').select('seq').orderBy('seq').limit(1).as('lowest'),
      selectFrom('tasks').select('seq').orderBy('seq', 'desc').limit(1).as('highest'),
    ])
    .executeTakeFirstOrThrow();
  const bandOf = (seq: number): number => Math.floor(seq / 2 ** BAND_BITS);
  const first = bandOf(Math.max(range.from, lowest ?? 0));
  const last = bandOf(Math.min(range.to, highest ?? 0));
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}
