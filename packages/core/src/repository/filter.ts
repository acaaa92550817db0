import type { TaskFilter } from '@task-orchestrator/contract';
import { sql, type ExpressionBuilder, type ExpressionWrapper, type SqlBool } from 'kysely';
import type { Dialect } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { PRIORITY_RANK } from '../domain/priority.ts';
import { rangeBelow } from '../domain/path-tree.ts';

/** The conditions of a caller's filter on tasks. Statuses are written out, so that partial indexes apply. */
export function matchesFilter(filter: TaskFilter, dialect: Dialect) {
  return (builder: ExpressionBuilder<Database, 'tasks'>): ExpressionWrapper<Database, 'tasks', SqlBool> => {
    const { eb, and, or, ref } = builder;
    const conditions = [];
    if (filter.status !== undefined) {
      const statuses = Array.isArray(filter.status) ? filter.status : [filter.status];
      conditions.push(or(statuses.map((status) => eb('status', '=', sql.lit(status)))));
    }
    if (filter.priority !== undefined) conditions.push(eb('priority', '=', PRIORITY_RANK[filter.priority]));
    if (filter.work_directory !== undefined) {
      const { after, before } = rangeBelow(filter.work_directory);
      const isIt = eb('work_directory', '=', filter.work_directory);
      const isBelow = and([eb('work_directory', '>', after), eb('work_directory', '<', before)]);
      // One range around both, which an index can seek.
      const isNear = and([eb('work_directory', '>=', filter.work_directory), eb('work_directory', '<', before)]);
      conditions.push(filter.subtree ? and([isNear, or([isIt, isBelow])]) : isIt);
    }
    if (filter.worker_id !== undefined) conditions.push(eb('worker_id', '=', filter.worker_id));
    if (filter.tag !== undefined) {
      conditions.push(
        and([eb('tags', 'is not', null), dialect.sharesElement(ref('tags'), JSON.stringify([filter.tag]))]),
      );
    }
    return and(conditions);
  };
}
