import { operations, type Operation, type OperationKind, type Operations } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import type { z } from 'zod';
import type { HealthCheck } from './health.ts';
import { withTrace } from './traceparent.ts';

/** What a door tells an operation beside its input: plain data, so that nothing of a door leaks into types. */
export interface OperationContext {
  /** Given to operations that wait; aborts when the caller is gone. */
  readonly signal?: AbortSignal | undefined;
  /** The trace that the caller is in (W3C Trace Context): goes with the tasks that it creates. */
  readonly traceparent?: string | undefined;
}
export interface StreamContext extends OperationContext {
  readonly signal: AbortSignal;
}

type Handler<Op> =
  Op extends Operation<infer Kind, infer Input, infer Output> ? Run<Kind, z.output<Input>, z.output<Output>> : never;
type Run<Kind extends OperationKind, Input, Output> = Kind extends 'subscription'
  ? (input: Input, context: StreamContext) => AsyncIterable<Output>
  : (input: Input, context: OperationContext) => Promise<Output>;
type Handlers = {
  [Group in keyof Operations]: { [Name in keyof Operations[Group]]: Handler<Operations[Group][Name]> };
};

function bindHandlers(core: Core, health: HealthCheck) {
  return {
    tasks: {
      create: (input, { traceparent }) => core.createTask(withTrace(input, traceparent)),
      createMany: ({ tasks }, { traceparent }) =>
        core.createTasks({
          tasks: traceparent === undefined ? tasks : tasks.map((task) => withTrace(task, traceparent)),
        }),
      get: (input) => core.getTask(input),
      list: (input) => core.listTasks(input),
      next: (input, { signal }) => core.acquireNextTask(input, signal),
      acquire: (input, { signal }) => core.acquireTasks(input, signal),
      heartbeat: (input) => core.heartbeat(input),
      heartbeatMany: (input) => core.heartbeatMany(input),
      complete: (input) => core.completeTask(input),
      completeMany: (input) => core.completeTasks(input),
      fail: (input) => core.failTask(input),
      release: (input) => core.releaseTask(input),
      cancel: (input) => core.cancelTask(input),
      retry: (input) => core.retryTask(input),
      cancelMany: (input) => core.cancelTasks(input),
      retryMany: (input) => core.retryTasks(input),
      appendLog: (input) => core.appendLog(input),
      logs: (input) => core.listLogs(input),
      events: (input) => core.listEvents(input),
      wait: (input, { signal }) => core.waitForTasks(input, signal),
    },
    events: { stream: (input, { signal }) => core.streamEvents(input, signal) },
    workers: { list: (input) => core.listWorkers(input) },
    paths: { list: (input) => core.listPaths(input), set: (input) => core.setPath(input) },
    stats: { get: () => core.getStatistics() },
    health: { get: () => health.get() },
  } satisfies Handlers;
}

/** An operation as a door sees it: its description, its name (`tasks.create`) and how to run it. */
export type Endpoint = CallEndpoint | StreamEndpoint;
export interface CallEndpoint {
  readonly name: string;
  readonly kind: 'query' | 'mutation';
  readonly operation: Operation;
  /** @param input has passed `operation.input`. */
  readonly run: (input: unknown, context: OperationContext) => Promise<unknown>;
}
export interface StreamEndpoint {
  readonly name: string;
  readonly kind: 'subscription';
  readonly operation: Operation;
  readonly run: (input: unknown, context: StreamContext) => AsyncIterable<unknown>;
}

/** Every operation, bound to the core, in the order of the contract. */
export function bindOperations(core: Core, health: HealthCheck): readonly Endpoint[] {
  const handlers: Record<string, Record<string, unknown>> = bindHandlers(core, health);
  return Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, operation]) =>
      toEndpoint(`${group}.${name}`, operation, handlers[group]?.[name]),
    ),
  );
}

/** `satisfies Handlers` guarantees that the handler at an operation's place takes its input and has its kind. */
function toEndpoint(name: string, operation: Operation, run: unknown): Endpoint {
  return { name, kind: operation.kind, operation, run } as Endpoint;
}

/** Whether the caller asked to wait; only then must its going away be noticed. */
export function isWaiting(input: unknown): boolean {
  const { wait_seconds: seconds } = input as { wait_seconds?: unknown };
  return typeof seconds === 'number' && seconds > 0;
}
