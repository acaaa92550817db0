export type { CallOptions } from './call.ts';
export { createClient } from './client.ts';
export type { Client, ClientOptions, Input, Method, Output } from './client.ts';
export {
  ConnectionError,
  ForbiddenError,
  IdempotencyMismatchError,
  InternalError,
  LeaseLostError,
  NonRetryableError,
  NotFoundError,
  OrchestratorError,
  PayloadTooLargeError,
  PromptMismatchError,
  RateLimitedError,
  StatusConflictError,
  TaskCancelledError,
  TaskNotFoundError,
  UnauthorizedError,
  UnavailableError,
  ValidationError,
  WorkerStoppedError,
} from './errors.ts';
export type { ClientErrorCode, ErrorFacts } from './errors.ts';
export type { StreamOptions } from './event-stream.ts';
export type { RetryOptions } from './retry.ts';
export type { Tracing } from './tracing.ts';
export type { WaitForOptions, WaitForResult } from './wait-for-tasks.ts';
export { Worker } from './worker/worker.ts';
export type { Handler, WorkerOptions } from './worker/worker-options.ts';
export type { TaskContext } from './worker/held-task.ts';
export type { OnError, WorkerActivity } from './worker/report.ts';
export type {
  AcquiredTask,
  ApiKey,
  ApiKeyWithSecret,
  EmptyReason,
  ErrorBody,
  ErrorCode,
  ErrorDetails,
  EventType,
  FieldError,
  Health,
  LogEntry,
  OperationTypes,
  PathState,
  Priority,
  Progress,
  Role,
  Statistics,
  Task,
  TaskError,
  TaskEvent,
  TaskOutcome,
  TaskReceipt,
  TaskResult,
  TaskStatus,
  WorkerInfo,
} from './wire.ts';
