import type {
  AcquireInput,
  AcquireOutput,
  AcquiredTask,
  AppendLogInput,
  AppendLogOutput,
  CancelInput,
  CancelManyInput,
  CompleteInput,
  CompleteManyInput,
  CompleteManyOutput,
  CreateManyInput,
  CreateManyOutput,
  CreateTask,
  EventsInput,
  EventsOutput,
  FailInput,
  HeartbeatInput,
  HeartbeatManyInput,
  HeartbeatManyOutput,
  HeartbeatReply,
  ListInput,
  ListOutput,
  LogsInput,
  LogsOutput,
  ManyOutput,
  NextInput,
  PathState,
  PathsInput,
  PathsOutput,
  ReleaseInput,
  RetryManyInput,
  SetPathInput,
  Statistics,
  StreamInput,
  Task,
  TaskEvent,
  TaskIdInput,
  TaskReceipt,
  WaitInput,
  WaitOutput,
  WorkersInput,
  WorkersOutput,
} from '@task-orchestrator/contract';
import type { z } from 'zod';
import type { Scope } from './domain/scope.ts';
import type { ApiKeys } from './repository/api-key.ts';
import type { Backlog } from './repository/backlog.ts';

/**
 * What the service does, one method an operation. Inputs have passed the contract's schemas; refusals are
 * thrown as `DomainError`.
 *
 * `scope` is what the caller may see and touch, everything unless given. Tasks outside are as if they did not exist, and
 * answers about many are about those within; `FORBIDDEN` is for a directory that the caller names itself.
 */
export interface Operations {
  createTask(input: CreateTask, scope?: Scope): Promise<Task>;
  createTasks(input: z.output<typeof CreateManyInput>, scope?: Scope): Promise<z.infer<typeof CreateManyOutput>>;
  getTask(input: z.output<typeof TaskIdInput>, scope?: Scope): Promise<Task>;
  listTasks(input: ListInput, scope?: Scope): Promise<z.infer<typeof ListOutput>>;
  /** Long-polls up to `wait_seconds`; ends with an empty answer when `signal` aborts or the core closes. */
  acquireTasks(input: AcquireInput, signal?: AbortSignal, scope?: Scope): Promise<AcquireOutput>;
  acquireNextTask(input: NextInput, signal?: AbortSignal, scope?: Scope): Promise<AcquiredTask | null>;
  heartbeat(input: HeartbeatInput, scope?: Scope): Promise<HeartbeatReply>;
  heartbeatMany(
    input: z.output<typeof HeartbeatManyInput>,
    scope?: Scope,
  ): Promise<z.infer<typeof HeartbeatManyOutput>>;
  completeTask(input: CompleteInput, scope?: Scope): Promise<TaskReceipt>;
  completeTasks(input: z.output<typeof CompleteManyInput>, scope?: Scope): Promise<z.infer<typeof CompleteManyOutput>>;
  failTask(input: FailInput, scope?: Scope): Promise<TaskReceipt>;
  releaseTask(input: ReleaseInput, scope?: Scope): Promise<TaskReceipt>;
  cancelTask(input: CancelInput, scope?: Scope): Promise<Task>;
  cancelTasks(input: z.output<typeof CancelManyInput>, scope?: Scope): Promise<z.infer<typeof ManyOutput>>;
  retryTask(input: z.output<typeof TaskIdInput>, scope?: Scope): Promise<Task>;
  retryTasks(input: z.output<typeof RetryManyInput>, scope?: Scope): Promise<z.infer<typeof ManyOutput>>;
  appendLog(input: AppendLogInput, scope?: Scope): Promise<z.infer<typeof AppendLogOutput>>;
  listLogs(input: z.output<typeof LogsInput>, scope?: Scope): Promise<z.infer<typeof LogsOutput>>;
  listEvents(input: z.output<typeof EventsInput>, scope?: Scope): Promise<z.infer<typeof EventsOutput>>;
  waitForTasks(input: WaitInput, signal?: AbortSignal, scope?: Scope): Promise<z.infer<typeof WaitOutput>>;
  /** The `event_id` after which a stream that starts now begins. */
  eventPosition(): Promise<string>;
  /** Ends when `signal` aborts or the core closes. Reads from the database page by page: a slow reader holds one page. */
  streamEvents(input: StreamInput, signal: AbortSignal, scope?: Scope): AsyncIterable<TaskEvent>;
  listWorkers(input: z.output<typeof WorkersInput>, scope?: Scope): Promise<z.infer<typeof WorkersOutput>>;
  listPaths(input: z.output<typeof PathsInput>, scope?: Scope): Promise<z.infer<typeof PathsOutput>>;
  setPath(input: SetPathInput): Promise<PathState>;
  getStatistics(scope?: Scope): Promise<Statistics>;

  readonly keys: ApiKeys;
  /** Numbers of this process for gauges; cheap. */
  readonly gauges: () => CoreGauges;
  /** Reads the head of every waiting path and priority: some microseconds each, so not to be asked at every turn. */
  measureBacklog(): Promise<Backlog>;
  /** Milliseconds one trivial query took; throws when the database does not answer. */
  ping(): Promise<number>;
  /** Why writes are refused at the moment, for operators; null while they go through. Tried twice a second until they do. */
  writeProblem(): string | null;
}

/** A running service. Its operations settle once what they have written, or seen, is durable. */
export interface Core extends Operations {
  /** The same, settling as soon as it is committed: for those who let nobody hear of it but through `durably`. */
  readonly early: Operations;
  /**
   * Settles as `result` does, once what that may have seen is durable; `prepare` makes an answer of it meanwhile.
   * @throws DomainError UNAVAILABLE when the disk has not taken a commit meanwhile, whatever `result` has come to
   */
  durably<Result, Answer>(result: Promise<Result>, prepare: (result: Result) => Answer): Promise<Answer>;
  /** Does now what is due: leases that ran out, tasks whose time has come, sightings of workers, retention. */
  tick(): Promise<void>;
  /** Answers every long poll and ends every stream, leaving writes alone: the first step of a graceful end. */
  drain(): void;
  /** Finishes the commit under way and closes the database. */
  close(): Promise<void>;
}

export interface CoreGauges {
  tasks: Record<Task['status'], number>;
  waiting: Record<Task['priority'], number>;
  acquire_waiters: number;
}

/** Called at the one seam where every commit passes. */
export interface CoreObserver {
  onCommit?(commit: { calls: number; seconds: number }): void;
  /** The events of a commit, after it; `waitSeconds`: ready to acquired; `workSeconds`: started to finished. */
  onEvents?(events: readonly { type: TaskEvent['type']; waitSeconds?: number; workSeconds?: number }[]): void;
  onError?(error: unknown, doing: string): void;
  /** Commits are refused from now on; what fails for that reason is not told of again. */
  onOutage?(problem: string, error: unknown): void;
  onRecovery?(outageSeconds: number): void;
}
