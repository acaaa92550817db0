import type { BatchTask } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { DomainError, invalidField } from '../domain-error.ts';
import { hiddenBody, isKeyReleased, isSameBody, windowHours } from '../domain/idempotency.ts';
import { PRIORITY_RANK } from '../domain/priority.ts';
import { findCycle } from '../domain/reference-cycle.ts';
import { isInScope, type Scope } from '../domain/scope.ts';
import { timeOrderedId } from '../domain/time-ordered-id.ts';
import { settleBlocked, settleDependants } from './dependants.ts';
import { toJsonColumn } from './json-column.ts';
import { attempt, lockTasks } from './load-tasks.ts';
import { TASK_COLUMNS, type ControlRow, type TaskRow } from './task-row.ts';

/** Tasks of one caller: all of them come to be, or none. */
export interface CreateBatch {
  readonly tasks: readonly BatchTask[];
  /** Prefix of field names in refusals: `tasks.` for a batch, empty for a single task. */
  readonly isSingle: boolean;
  /** Of the caller. */
  readonly scope?: Scope;
}

const tasksByKey = defineStatement<[keys: string], TaskRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where('idempotency_key', 'is not', null)
    .where(({ ref }) => dialect.inStrings(ref('idempotency_key').$castTo<string>(), arg(0)))
    .modifyEnd(dialect.forUpdate),
);

/**
 * Creates tasks, and answers each batch with its rows in order; a row that an idempotency key already stood for is
 * the task as it is now.
 */
export const createTasks = defineVerb<CreateBatch, TaskRow[]>({
  stage: 1,
  async run(commit, batches) {
    const surroundings = await loadSurroundings(commit, batches);
    const created: NewTask[] = [];
    const outcomes = batches.map((batch) =>
      attempt(() => {
        const drafts = draftBatch(commit, batch, surroundings);
        // From here on nothing of the batch can be refused.
        for (const draft of drafts) {
          if (!draft.isNew) continue;
          created.push(draft);
          takeKey(commit, draft.row, surroundings);
        }
        return drafts.map(({ row }) => row);
      }),
    );
    await insert(commit, created);
    return outcomes;
  },
});

interface Surroundings {
  /** Holders of the idempotency keys in question, those of this commit among them. */
  readonly byKey: Map<string, TaskRow>;
  /** Tasks that new ones depend on. */
  readonly dependencies: ReadonlyMap<string, ControlRow>;
}

interface NewTask {
  readonly row: TaskRow;
  readonly isNew: boolean;
  dependsOn: readonly ControlRow[];
}

async function loadSurroundings(commit: Commit, batches: readonly CreateBatch[]): Promise<Surroundings> {
  const keys: string[] = [];
  const ids: string[] = [];
  for (const { tasks } of batches) {
    let refs: ReadonlySet<string | undefined> | null = null;
    for (const { idempotency_key, depends_on } of tasks) {
      if (idempotency_key !== undefined) keys.push(idempotency_key);
      if (depends_on.length === 0) continue;
      refs ??= new Set(tasks.map(({ ref }) => ref));
      for (const name of depends_on) if (!refs.has(name)) ids.push(name.toLowerCase());
    }
  }
  const holders = keys.length === 0 ? [] : await commit.tx.all(tasksByKey, [JSON.stringify(keys)]);
  return {
    byKey: new Map(holders.map((row) => [row.idempotency_key!, row])),
    dependencies: ids.length === 0 ? new Map() : await lockTasks(commit.tx, ids),
  };
}

function draftBatch(commit: Commit, batch: CreateBatch, surroundings: Surroundings): NewTask[] {
  const { tasks, isSingle, scope } = batch;
  if (!isSingle) checkReferences(batch);
  // What tasks of a batch may name; a single task stands for itself.
  const byRef = isSingle ? null : new Map<string, ControlRow>();
  const byKey = isSingle ? null : new Map<string, TaskRow>();
  const drafts = tasks.map((task, index): NewTask => {
    const { idempotency_key: key, ref } = task;
    const holder = key === undefined ? null : (byKey?.get(key) ?? findHolder(commit, key, surroundings));
    if (holder !== null) checkBody(commit, holder, task, scope);
    const row = holder ?? draftRow(commit, task, fieldOf(batch, index, 'metadata'));
    if (ref !== undefined) byRef?.set(ref, row);
    if (key !== undefined) byKey?.set(key, row);
    return { row, isNew: holder === null, dependsOn: NOTHING };
  });
  for (const [index, { depends_on }] of tasks.entries()) {
    if (depends_on.length === 0) continue;
    const draft = drafts[index]!;
    const dependsOn = depends_on.map((name, position) => {
      const dependency = byRef?.get(name) ?? surroundings.dependencies.get(name.toLowerCase());
      if (!dependency) throw refuseDependency(fieldOf(batch, index, `depends_on.${position}`), name);
      return dependency;
    });
    if (!draft.isNew) continue;
    draft.row.depends_on = JSON.stringify(dependsOn.map(({ task_id }) => task_id));
    draft.row.status = 'blocked';
    draft.dependsOn = [...new Map(dependsOn.map((task) => [task.task_id, task])).values()];
  }
  return drafts;
}

const NOTHING: readonly never[] = [];

/** The task that the key already stands for, unless its window has passed. */
function findHolder(commit: Commit, key: string, { byKey }: Surroundings): TaskRow | null {
  const holder = byKey.get(key);
  return holder && !isKeyReleased(holder, commit.now) ? holder : null;
}

/** From here on the key stands for the new task; one whose window has passed gives it back. */
function takeKey(commit: Commit, row: TaskRow, { byKey }: Surroundings): void {
  if (row.idempotency_key === null) return;
  const holder = byKey.get(row.idempotency_key);
  if (holder) commit.update(holder, { idempotency_key: null });
  byKey.set(row.idempotency_key, row);
}

/** The body tells the directory, so one that is the same is in scope. Of a task outside no more is said than that the key is taken. */
function checkBody({ cipher }: Commit, holder: TaskRow, task: BatchTask, scope: Scope): void {
  const prompt = cipher.open(holder.prompt, holder.task_id, 'prompt');
  if (isSameBody({ ...holder, prompt }, task)) return;
  const details = {
    field: 'idempotency_key',
    message: 'must come with the same body as before, or be a new key',
  };
  if (!isInScope(holder.work_directory, scope)) {
    throw new DomainError('IDEMPOTENCY_MISMATCH', 'idempotency_key was used with another body', details);
  }
  const { task_id } = holder;
  throw new DomainError('IDEMPOTENCY_MISMATCH', `idempotency_key was used for task ${task_id} with another body`, {
    ...details,
    task_id,
  });
}

function draftRow(commit: Commit, task: BatchTask, metadataField: string): TaskRow {
  const { now, policy, cipher } = commit;
  const task_id = timeOrderedId(now);
  const run_at = task.run_at === undefined ? now : Date.parse(task.run_at);
  return {
    // Known after the insert.
    seq: 0,
    task_id,
    work_directory: task.work_directory,
    status: run_at > now ? 'scheduled' : 'waiting',
    priority: PRIORITY_RANK[task.priority],
    attempt: 0,
    max_attempts: task.max_attempts ?? policy.maxTaskRetries + 1,
    timeout_seconds: task.timeout_seconds ?? policy.defaultTimeoutSeconds,
    exclusive: task.exclusive ? 1 : 0,
    on_dependency_failure: task.on_dependency_failure,
    run_at,
    worker_id: null,
    acquire_id: null,
    lease_token: null,
    lease_epoch: 0,
    lease_state: null,
    lease_seconds: null,
    lease_expires_at: null,
    cancel_requested: 0,
    idempotency_key: task.idempotency_key ?? null,
    idempotency_body: task.idempotency_key === undefined ? null : hiddenBody(task),
    idempotency_window_hours: task.idempotency_key === undefined ? null : windowHours(task.idempotency_window),
    log_bytes: 0,
    created_at: now,
    updated_at: now,
    started_at: null,
    finished_at: null,
    cancel_reason: null,
    progress: null,
    error: null,
    depends_on: null,
    tags: task.tags.length === 0 ? null : JSON.stringify(task.tags),
    metadata: isEmpty(task.metadata) ? null : toJsonColumn(metadataField, task.metadata),
    prompt: cipher.seal(task.prompt, task_id, 'prompt'),
    result: null,
  };
}

function isEmpty(object: object): boolean {
  for (const _key in object) return false;
  return true;
}

async function insert(commit: Commit, created: readonly NewTask[]): Promise<void> {
  // Keys that were given back must be free before the insert.
  await commit.flush();
  const rows = created.map(({ row }) => row);
  const seqs = await commit.tx.insertTasks(NEW_TASK_COLUMNS, rows);
  rows.forEach((row, index) => {
    row.seq = seqs[index]!;
    commit.record('created', null, row);
  });
  await linkDependencies(
    commit,
    created.filter(({ dependsOn }) => dependsOn.length > 0),
  );
}

/** The others are empty, or have the defaults of the table, until something happens to the task. */
const NEW_TASK_COLUMNS = [
  'task_id',
  'work_directory',
  'status',
  'priority',
  'max_attempts',
  'timeout_seconds',
  'exclusive',
  'on_dependency_failure',
  'run_at',
  'idempotency_key',
  'idempotency_body',
  'idempotency_window_hours',
  'created_at',
  'updated_at',
  'depends_on',
  'tags',
  'metadata',
  'prompt',
] as const satisfies readonly (keyof TaskRow)[];

const LINKS_PER_STATEMENT = 200;

async function linkDependencies(commit: Commit, blocked: readonly NewTask[]): Promise<void> {
  if (blocked.length === 0) return;
  const links = blocked.flatMap(({ row, dependsOn }) =>
    dependsOn.map((dependency) => ({ task_seq: row.seq, depends_on_seq: dependency.seq })),
  );
  for (let start = 0; start < links.length; start += LINKS_PER_STATEMENT) {
    const values = links.slice(start, start + LINKS_PER_STATEMENT);
    await commit.tx.kysely.insertInto('task_dependencies').values(values).execute();
  }
  const rows = blocked.map(({ row }) => row);
  const cancelled = await settleBlocked(commit, rows);
  await settleDependants(commit, cancelled, new Map(rows.map((row) => [row.seq, row])));
}

function checkReferences(batch: CreateBatch): void {
  const refs = new Map<string, readonly string[]>();
  batch.tasks.forEach((task, index) => {
    if (task.ref === undefined) return;
    if (refs.has(task.ref))
      throw invalidField(fieldOf(batch, index, 'ref'), `must be unique in the batch; ${task.ref} is not`);
    refs.set(task.ref, task.depends_on);
  });
  const cycle = findCycle(refs);
  if (cycle) {
    const index = batch.tasks.findIndex(({ ref }) => ref === cycle[0]);
    throw invalidField(fieldOf(batch, index, 'depends_on'), `must not form a cycle: ${cycle.join(' → ')}`);
  }
}

export function refuseDependency(field: string, name: string): DomainError {
  return invalidField(field, `there is no task ${name}`);
}

export function fieldOf(batch: CreateBatch, index: number, field: string): string {
  return batch.isSingle ? field : `tasks.${index}.${field}`;
}
