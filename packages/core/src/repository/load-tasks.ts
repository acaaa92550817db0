import { DomainError } from '../domain-error.ts';
import { defineStatement, type Transaction } from '../db/engine.ts';
import { refuseUnknown } from '../domain/task-state.ts';
import { CONTROL_COLUMNS, TASK_COLUMNS, type ControlRow, type TaskRow } from './task-row.ts';

const controlRowsById = defineStatement<[ids: string], ControlRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(CONTROL_COLUMNS)
    .where(({ ref }) => dialect.inStrings(ref('task_id'), arg(0)))
    .orderBy('seq')
    .modifyEnd(dialect.forUpdate),
);

const taskRowsById = defineStatement<[ids: string], TaskRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where(({ ref }) => dialect.inStrings(ref('task_id'), arg(0)))
    .orderBy('seq')
    .modifyEnd(dialect.forUpdate),
);

/** Reads tasks in order to change them; each id once, whoever asks for it. */
export async function lockTasks(tx: Transaction, ids: readonly string[]): Promise<Map<string, ControlRow>> {
  return byTaskId(await tx.all(controlRowsById, [JSON.stringify([...new Set(ids)])]));
}

/** The same with all columns, for verbs that answer with the task. */
export async function lockWholeTasks(tx: Transaction, ids: readonly string[]): Promise<Map<string, TaskRow>> {
  return byTaskId(await tx.all(taskRowsById, [JSON.stringify([...new Set(ids)])]));
}

function byTaskId<Row extends ControlRow>(rows: readonly Row[]): Map<string, Row> {
  const byId = new Map<string, Row>();
  for (const row of rows) byId.set(row.task_id, row);
  return byId;
}

/**
 * Decides item by item, in order, each on what the items before it left behind. A refusal is the answer of its
 * item alone.
 */
export function decideEach<Item extends { task_id: string }, Task extends ControlRow, Result>(
  items: readonly Item[],
  tasks: ReadonlyMap<string, Task>,
  decide: (task: Task, item: Item) => Result,
): (Result | DomainError)[] {
  return items.map((item) => {
    const task = tasks.get(item.task_id);
    return task ? attempt(() => decide(task, item)) : refuseUnknown(item.task_id);
  });
}

/** A thrown refusal becomes the outcome; anything else is a bug and goes on. */
export function attempt<Result>(decide: () => Result): Result | DomainError {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}
