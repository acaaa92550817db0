import type { EventType, TaskStatus } from '@task-orchestrator/contract';
import type { Row, Transaction } from '../db/engine.ts';
import { TRANSITIONS } from '../domain/task-state.ts';
import type { PathSettings } from '../dispatch/path-settings.ts';
import type { PathTurns, Place, Turn } from '../dispatch/path-turns.ts';
import type { Cipher } from '../encryption/cipher.ts';
import { bandOf } from '../domain/band.ts';
import type { ControlRow } from '../repository/task-row.ts';

/** What is the same for every commit of a process. */
export interface CommitSurroundings {
  readonly policy: TaskPolicy;
  readonly turns: PathTurns;
  readonly settings: PathSettings;
  readonly cipher: Cipher;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

export interface TaskPolicy {
  readonly defaultTimeoutSeconds: number;
  readonly defaultLeaseSeconds: number;
  readonly maxTaskRetries: number;
  /** Working tasks over the whole system; 0 = no limit. */
  readonly maxConcurrentTasks: number;
  /** Waiting that lets a task take turns with higher priorities; 0 = never. */
  readonly priorityAgeingSeconds: number;
  readonly requireLeaseToken: boolean;
  readonly retentionDays: number;
  readonly cleanupIntervalSeconds: number;
  readonly maxLogBytes: number;
}

/** A change of a task as the rest of the process hears of it after the commit; `task` as it was right after. */
export interface Change {
  readonly type: EventType;
  readonly from: TaskStatus | null;
  readonly task: ChangedTask;
  readonly data: EventData | null;
}

export type ChangedTask = Readonly<
  Pick<
    ControlRow,
    | 'seq'
    | 'task_id'
    | 'work_directory'
    | 'status'
    | 'priority'
    | 'attempt'
    | 'exclusive'
    | 'run_at'
    | 'worker_id'
    | 'lease_epoch'
    | 'created_at'
    | 'started_at'
  >
>;

export type EventData = Record<string, unknown>;
type TaskColumns = Partial<Row<'tasks'>>;

/** One transaction in the making: what verbs read, decide and write in. */
export class Commit {
  readonly tx: Transaction;
  readonly now: number;
  readonly policy: TaskPolicy;
  readonly turns: PathTurns;
  readonly settings: PathSettings;
  readonly cipher: Cipher;
  readonly random: () => number;
  readonly changes: Change[] = [];
  /** States of the tasks that are gone. */
  readonly removed: TaskStatus[] = [];
  readonly #writes: ({ seq: number } & TaskColumns)[] = [];
  readonly #moved: (Place & { path: string; rank: number })[] = [];

  constructor(tx: Transaction, surroundings: CommitSurroundings) {
    this.tx = tx;
    this.now = tx.now;
    this.policy = surroundings.policy;
    this.turns = surroundings.turns;
    this.settings = surroundings.settings;
    this.cipher = surroundings.cipher;
    this.random = surroundings.random;
  }

  /**
   * Sets columns of a task without an event. The row carries them at once; the database with the next flush.
   * @param columns are the commit's from here on
   */
  update(task: ControlRow, columns: TaskColumns): void {
    Object.assign(task, columns);
    this.#writes.push(Object.assign(columns, { seq: task.seq }));
  }

  /** Changes the state of a task, as `update` does, and adds the event that says so. */
  change(type: EventType, task: ControlRow, columns: TaskColumns, data: EventData | null = null): void {
    const from = task.status;
    columns.updated_at = this.now;
    this.update(task, columns);
    this.record(type, from, task, data);
  }

  /** Adds an event; `task` stands as it is after the change, and `from` as it was before (null: it is new). */
  record(type: EventType, from: TaskStatus | null, task: ControlRow, data: EventData | null = null): void {
    assertTransition(type, from, task);
    this.changes.push({ type, from, task: snapshot(task), data });
    // Acquisitions of this same commit may take it already; after a rollback the entry is a hint that comes to nothing.
    if (task.status === 'waiting') this.turns.add(task.work_directory, task.priority, task.run_at, bandOf(task));
  }

  /** What a look-up for a turn has shown, as `PathTurns.moveHead`; taken back if the commit does not happen. */
  moveHead({ path, rank, version }: Turn, place: Place | null): void {
    const before = this.turns.moveHead({ path, rank, version }, place);
    if (before !== null) this.#moved.push({ path, rank, ...before });
  }

  /** After a rollback: tasks that were to be handed out are waiting still. */
  restoreTurns(): void {
    for (const { path, rank, runAt, band, hasLater } of this.#moved) {
      this.turns.add(path, rank, runAt, band);
      if (hasLater) this.turns.add(path, rank, runAt);
    }
  }

  /** Brings what was set so far into the database, so that statements see it. */
  async flush(): Promise<void> {
    const writes = this.#writes.splice(0);
    // Rows of one shape go together; the order stays, since a task may have been set twice.
    for (let start = 0, end; start < writes.length; start = end) {
      for (end = start + 1; end < writes.length && haveSameKeys(writes[start]!, writes[end]!);) end++;
      await this.tx.updateTasks(writes.slice(start, end));
    }
  }

  async writeEvents(): Promise<void> {
    await this.tx.appendRows(
      'events',
      this.changes.map((change) => toEventRow(change, this.now)),
    );
  }
}

function snapshot(task: ControlRow): ChangedTask {
  return {
    seq: task.seq,
    task_id: task.task_id,
    work_directory: task.work_directory,
    status: task.status,
    priority: task.priority,
    attempt: task.attempt,
    exclusive: task.exclusive,
    run_at: task.run_at,
    worker_id: task.worker_id,
    lease_epoch: task.lease_epoch,
    created_at: task.created_at,
    started_at: task.started_at,
  };
}

function toEventRow({ type, task, data }: Change, now: number): Row<'events'> {
  return {
    task_seq: task.seq,
    type,
    status: task.status,
    attempt: task.attempt,
    lease_epoch: task.lease_epoch,
    worker_id: task.worker_id,
    data: data === null ? null : JSON.stringify(data),
    at: now,
  };
}

function haveSameKeys(a: object, b: object): boolean {
  let more = 0;
  for (const key in a) {
    if (!(key in b)) return false;
    more++;
  }
  for (const _key in b) more--;
  return more === 0;
}

/** The table of transitions is the law; a verb that breaks it has a bug, and its commit does not happen. */
function assertTransition(type: EventType, from: TaskStatus | null, task: ControlRow): void {
  const { from: allowedFrom, to: allowedTo }: { from: readonly string[]; to: readonly string[] } = TRANSITIONS[type];
  const isLegal =
    (from === null ? allowedFrom.length === 0 : allowedFrom.includes(from)) && allowedTo.includes(task.status);
  if (!isLegal) throw new Error(`task ${task.task_id}: ${type} must not lead from ${from} to ${task.status}`);
}
