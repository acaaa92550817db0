import {
  operations,
  type ErrorBody,
  type ErrorCode,
  type HTTP_STATUS,
  type Operation,
  type Operations,
} from '@task-orchestrator/contract';

// What the client takes from the contract, and the only module that names it. The contract is made of zod schemas:
// in the published package `build/wire-module.ts` puts plain types and this table of kinds in the place of this module.

/** Kind, input (what a caller may write) and output of every operation, by its name. */
export type OperationTypes = {
  [Group in keyof Operations]: { [Name in keyof Operations[Group]]: TypesOf<Operations[Group][Name]> };
};

type TypesOf<Described> = Described extends Operation
  ? {
      kind: Described['kind'];
      input: Described['input']['_zod']['input'];
      output: Described['output']['_zod']['output'];
    }
  : never;

/** The HTTP status each error code travels under. */
export type HttpStatusOf = typeof HTTP_STATUS;

export const operationKinds: {
  [Group in keyof OperationTypes]: { [Name in keyof OperationTypes[Group]]: KindOf<OperationTypes[Group][Name]> };
} = mapKinds();

type KindOf<Types> = Types extends { kind: infer Kind } ? Kind : never;

function mapKinds(): typeof operationKinds {
  const kinds = Object.entries<Record<string, Operation>>(operations).map(([group, members]) => [
    group,
    Object.fromEntries(Object.entries(members).map(([name, { kind }]) => [name, kind])),
  ]);
  // Same keys as `operations` by construction; `Object.fromEntries` cannot say so.
  return Object.fromEntries(kinds) as typeof operationKinds;
}

export type { ErrorBody, ErrorCode };
export type {
  AcquiredTask,
  ApiKey,
  ApiKeyWithSecret,
  EmptyReason,
  ErrorDetails,
  EventType,
  FieldError,
  Health,
  LogEntry,
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
  Worker as WorkerInfo,
} from '@task-orchestrator/contract';
