import type { TaskFilter } from '@task-orchestrator/contract';
import { sql, type ExpressionBuilder, type ExpressionWrapper, type SqlBool } from 'kysely';
import type { Dialect } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { PRIORITY_RANK } from '../domain/priority.ts';
import { findAreas, type Scope } from '../domain/scope.ts';
import { inAreas } from './in-areas.ts';

/** What a caller asks for, and what it may see of that. */
export type ScopedFilter = TaskFilter & { readonly scope?: Scope };

/** The same as several filters of one area each, for an index that can seek in one at a time. */
export function splitByArea(filter: ScopedFilter): ScopedFilter[] {
  const { scope, ...wanted } = filter;
  const areas = findAreas(filter, scope) ?? [];
  return areas.map(({ path, subtree }) => ({ ...wanted, work_directory: path, subtree }));
}

/** The conditions of a caller's filter on tasks. Statuses are written out, so that partial indexes apply. */
export function matchesFilter(filter: ScopedFilter, dialect: Dialect) {
  return (builder: ExpressionBuilder<Database, 'tasks'>): ExpressionWrapper<Database, 'tasks', SqlBool> => {
    const { eb, and, or, ref } = builder;
    const conditions = [];
    const areas = findAreas(filter, filter.scope);
    if (filter.status !== undefined) {
      const statuses = Array.isArray(filter.status) ? filter.status : [filter.status];
      conditions.push(or(statuses.map((status) => eb('status', '=', sql.lit(status)))));
    }
    if (filter.priority !== undefined) conditions.push(eb('priority', '=', PRIORITY_RANK[filter.priority]));
    if (areas !== undefined) conditions.push(inAreas(builder, ref('work_directory'), areas));
    if (filter.worker_id !== undefined) conditions.push(eb('worker_id', '=', filter.worker_id));
    if (filter.tag !== undefined) {
      conditions.push(
        and([eb('tags', 'is not', null), dialect.sharesElement(ref('tags'), JSON.stringify([filter.tag]))]),
      );
    }
    return and(conditions);
  };
}
