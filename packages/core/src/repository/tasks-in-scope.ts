import { defineStatement, type Querier } from '../db/engine.ts';
import { isInScope, requireInScope, type Scope } from '../domain/scope.ts';
import { refuseUnknown } from '../domain/task-state.ts';
import { fieldOf, refuseDependency, type CreateBatch } from './create.ts';

/** Uses the index tasks_task_id. */
export const directoriesById = defineStatement<[ids: string], { task_id: string; work_directory: string }>(
  (kysely, arg, dialect) =>
    kysely
      .selectFrom('tasks')
      .select(['task_id', 'work_directory'])
      .where(({ ref }) => dialect.inStrings(ref('task_id'), arg(0))),
);

const NONE: ReadonlySet<string> = new Set();

/**
 * The ids that are no task in scope: outside is as good as not there. A task never changes its directory, so what a
 * look finds holds for the commit that comes after it.
 */
export async function findOutside(reader: Querier, ids: readonly string[], scope: Scope): Promise<ReadonlySet<string>> {
  if (scope === undefined || ids.length === 0) return NONE;
  const rows = await reader.all(directoriesById, [JSON.stringify([...new Set(ids)])]);
  const inside = new Set(
    rows.filter(({ work_directory }) => isInScope(work_directory, scope)).map(({ task_id }) => task_id),
  );
  return new Set(ids.filter((id) => !inside.has(id)));
}

/** @throws TASK_NOT_FOUND for the first id that is no task in scope, in the words for a task that does not exist. */
export async function requireTasks(reader: Querier, ids: readonly string[], scope: Scope): Promise<void> {
  for (const outside of await findOutside(reader, ids, scope)) throw refuseUnknown(outside);
}

/** @throws FORBIDDEN for a directory outside the scope, VALIDATION_ERROR for a dependency that is no task within. */
export async function requireDrafts(reader: Querier, batch: CreateBatch): Promise<void> {
  const { tasks, scope } = batch;
  if (scope === undefined) return;
  tasks.forEach(({ work_directory }, index) =>
    requireInScope(fieldOf(batch, index, 'work_directory'), work_directory, scope),
  );
  const refs = new Set(tasks.map(({ ref }) => ref));
  const isId = (name: string): boolean => !refs.has(name);
  const ids = tasks.flatMap(({ depends_on }) => depends_on.filter(isId).map((id) => id.toLowerCase()));
  const outside = await findOutside(reader, ids, scope);
  tasks.forEach(({ depends_on }, index) =>
    depends_on.forEach((name, position) => {
      if (isId(name) && outside.has(name.toLowerCase()))
        throw refuseDependency(fieldOf(batch, index, `depends_on.${position}`), name);
    }),
  );
}
