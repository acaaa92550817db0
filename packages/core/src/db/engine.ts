import type { EventType } from '@task-orchestrator/contract';
import type { Compilable, CompiledQuery, Expression, Kysely, RawBuilder } from 'kysely';
import type { Flow } from '../repository/statistics.ts';
import type { Database } from './schema.ts';

/**
 * The one seam between engines. Verbs ask an engine for these and never for its name.
 */
export interface Engine {
  readonly dialect: Dialect;
  /** For reads outside a commit: sees only what is committed. */
  readonly reader: Querier;
  /**
   * Runs `work` in one durable transaction and answers after its commit.
   * @param options.isPatient statements may take as long as they want
   * @param options.onCommitted called once it is committed and not durable yet; never where that is one step
   * @throws UncertainCommitError when nobody knows whether it was committed.
   */
  transaction<T>(
    work: (tx: Transaction) => Promise<T>,
    options?: { isPatient?: boolean; onCommitted?: () => void },
  ): Promise<T>;
  /** Milliseconds since the epoch by the database's own clock, as well as this process knows it. */
  clock(): number;
  /** The same, asked of the database. */
  now(): Promise<number>;
  eventHorizon(): Promise<EventHorizon>;
  /** Transactions that are worth having under way at a time. */
  readonly maxConcurrentCommits: number;
  /** Other servers on the same database; null where there can be none. */
  readonly peers: Peers | null;
  /** How many servers run on the database; where there can be but one, it is shut out from the start. */
  countServers(): Promise<number>;
  /** Leaves nothing in the database's files of what was removed or overwritten, where the engine can; takes its time. */
  scrub(): Promise<void>;
  close(): Promise<void>;
}

/** Told of a statement once it is answered; `startedAt` in monotonic milliseconds. */
export type OnStatement = (statement: { text: string; startedAt: number }) => void;

export interface EventHorizon {
  /** Everything up to this number in the order of events is committed, and nothing more will come before it. */
  readonly settled: number;
  /** Up to here numbers have been given out: what lies in between will be settled in a moment. */
  readonly drawn: number;
}

/** What servers on one database tell each other. It may get lost: everyone also looks for themselves now and then. */
export interface Peers {
  publish(notice: Notice): void;
  /** `null`: notices may have been missed. */
  subscribe(listener: (notice: Notice | null) => void): void;
}

/** What a commit of another server has changed. */
export interface Notice {
  readonly types: readonly EventType[];
  /** Tasks that became ready: path, rank, earliest `run_at`, how many. Null: too many to tell. */
  readonly ready: readonly (readonly [path: string, rank: number, runAt: number, count: number])[] | null;
  /** A task has left work, or path settings have changed. */
  readonly hasFreed: boolean;
  readonly hasNewSettings: boolean;
}

export interface Querier {
  readonly dialect: Dialect;
  readonly kysely: Kysely<Database>;
  /** Runs a statement that was compiled once, with the given arguments. */
  all<Args extends readonly unknown[], Row>(statement: Statement<Args, Row>, args: Args): Promise<Row[]>;
}

export interface Transaction extends Querier {
  readonly now: number;
  /** Inserts the named columns of tasks and answers their growing keys, in order. */
  insertTasks<Column extends keyof Row<'tasks'>>(
    columns: readonly Column[],
    rows: readonly Pick<Row<'tasks'>, Column>[],
  ): Promise<number[]>;
  /** Inserts rows of one shape. Like updates it may be under way still: what is sent after it comes after it. */
  appendRows<Table extends 'events' | 'task_logs'>(table: Table, rows: readonly Row<Table>[]): Promise<void>;
  /**
   * Until the transaction ends nobody else hands out tasks (`alone`), or nobody does so alone (`shared`). What holds
   * between several tasks is decided under this.
   */
  lockHandOut(mode: 'alone' | 'shared'): Promise<void>;
  /** Sets the named columns of each row, by `seq`; all rows have the same columns. */
  updateTasks(rows: readonly ({ seq: number } & Partial<Row<'tasks'>>)[]): Promise<void>;
}

export type Row<Table extends keyof Database> = {
  [Column in keyof Database[Table] as Column extends 'seq' ? never : Column]: Database[Table][Column];
};

/** What engines write differently. */
export interface Dialect {
  readonly name: string;
  /** Other servers may write to the same database. */
  readonly isShared: boolean;
  /** What the tokens in migrations stand for. */
  readonly tokens: Readonly<Record<'identity' | 'text', string>>;
  /** How many schema versions the database may be ahead of the code, for servers of two versions side by side. */
  readonly newerVersionsAllowed: number;
  /** Has the growing keys of a table go on after those that are there; null where they do so by themselves. */
  continueKeys(table: 'tasks' | 'events' | 'task_logs'): RawBuilder<unknown> | null;
  /** Keeps servers that start together from migrating together; nothing where there is only one. */
  readonly migrationLock: RawBuilder<unknown> | null;
  /** The elements of a JSON array of strings as rows with one column, `value`; an alias must follow. */
  elements(json: string): RawBuilder<unknown>;
  /** `column` is one of the elements of a JSON array of strings. */
  inStrings(column: Expression<string>, json: string): RawBuilder<boolean>;
  /** `column` is one of the elements of a JSON array of integers. */
  inIntegers(column: Expression<number>, json: string): RawBuilder<boolean>;
  /** A JSON array column shares an element with a JSON array of strings. */
  sharesElement(column: Expression<string | null>, json: string): RawBuilder<boolean>;
  /** One statement may look up several things, each with a limit of its own. */
  readonly hasLateral: boolean;
  /** All paths and ranks with waiting tasks in one statement; null where the engine has bands. */
  readonly waitingFlows: RawBuilder<Flow> | null;
  /** Whether the indexes tasks_directory and tasks_waiting are cut into bands (`domain/band.ts`). */
  readonly hasBands: boolean;
  /** Appended to a SELECT that reads rows to write them; empty where the transaction alone writes. */
  readonly forUpdate: RawBuilder<unknown>;
  /** The same, leaving out rows that another transaction holds. */
  readonly forUpdateSkipLocked: RawBuilder<unknown>;
}

/** A query built and compiled once an engine; `arg(0)` stands for the first argument. */
export interface Statement<Args extends readonly unknown[], Row> {
  readonly build: (kysely: Kysely<Database>, arg: ArgOf<Args>, dialect: Dialect) => Compilable<Row>;
}
export type ArgOf<Args extends readonly unknown[]> = <Index extends keyof Args & number>(index: Index) => Args[Index];

export function defineStatement<Args extends readonly unknown[], Row>(
  build: Statement<Args, Row>['build'],
): Statement<Args, Row> {
  return { build };
}

/** Compiles statements at first use. Placeholders are told apart from constants by their identity. */
export class StatementCache {
  readonly #kysely: Kysely<Database>;
  readonly #dialect: Dialect;
  readonly #compiled = new Map<unknown, { query: CompiledQuery; slots: readonly (number | null)[] }>();

  constructor(kysely: Kysely<Database>, dialect: Dialect) {
    this.#kysely = kysely;
    this.#dialect = dialect;
  }

  bind<Args extends readonly unknown[], Row>(statement: Statement<Args, Row>, args: Args): CompiledQuery<Row> {
    let entry = this.#compiled.get(statement);
    if (!entry) {
      entry = this.#compile(statement);
      this.#compiled.set(statement, entry);
    }
    const { query, slots } = entry;
    const parameters = query.parameters.map((constant, index) => {
      const slot = slots[index] ?? null;
      return slot === null ? constant : args[slot];
    });
    return { ...query, parameters } as CompiledQuery<Row>;
  }

  #compile(statement: Statement<never, unknown>): { query: CompiledQuery; slots: (number | null)[] } {
    const placeholders: Placeholder[] = [];
    const arg = (index: number): never => {
      placeholders[index] ??= new Placeholder(index);
      // Kysely carries parameters through untouched; a placeholder never reaches a database.
      return placeholders[index] as never;
    };
    const query = statement.build(this.#kysely, arg as ArgOf<never>, this.#dialect).compile();
    const slots = query.parameters.map((value) => (value instanceof Placeholder ? value.index : null));
    return { query, slots };
  }
}

class Placeholder {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}
