import type { Expression, ExpressionBuilder, ExpressionWrapper, ReferenceExpression, SqlBool } from 'kysely';
import type { Area } from '../domain/scope.ts';
import type { Database } from '../db/schema.ts';
import { rangeBelow } from '../domain/path-tree.ts';

/** The condition that a directory lies in one of the areas; each is a range of an index on the column. */
export function inAreas<Tables extends keyof Database>(
  { eb, and, or }: ExpressionBuilder<Database, Tables>,
  column: ReferenceExpression<Database, Tables> & Expression<string>,
  areas: readonly Area[],
): ExpressionWrapper<Database, Tables, SqlBool> {
  return or(
    areas.map(({ path, subtree }) => {
      const isIt = eb(column, '=', path);
      if (!subtree) return isIt;
      const { after, before } = rangeBelow(path);
      const isBelow = and([eb(column, '>', after), eb(column, '<', before)]);
      // One range around both, which an index can seek.
      return and([eb(column, '>=', path), eb(column, '<', before), or([isIt, isBelow])]);
    }),
  );
}
