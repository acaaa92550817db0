import { operations, type Operation, type OperationKind, type Operations } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import type { z } from 'zod';
import { authorize } from './authorize.ts';
import type { Caller } from './caller.ts';
import type { HealthCheck } from './health.ts';
import { holdCall, holdStream } from './hold-open.ts';
import type { KeyWatch } from './key-watch.ts';
import type { Keyring } from './keyring.ts';
import { withTrace } from './traceparent.ts';

/** What a door tells an operation beside its input: plain data, so that nothing of a door leaks into types. */
export interface OperationContext {
  /** Null where nobody was asked for a key: then only public operations answer. */
  readonly caller: Caller | null;
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

function bindHandlers({ core: { early: core }, health, keyring }: Services) {
  return {
    tasks: {
      create: (input, { caller, traceparent }) => core.createTask(withTrace(input, traceparent), caller?.scope),
      createMany: ({ tasks }, { caller, traceparent }) =>
        core.createTasks(
          { tasks: traceparent === undefined ? tasks : tasks.map((task) => withTrace(task, traceparent)) },
          caller?.scope,
        ),
      get: (input, { caller }) => core.getTask(input, caller?.scope),
      list: (input, { caller }) => core.listTasks(input, caller?.scope),
      next: (input, { signal, caller }) => core.acquireNextTask(input, signal, caller?.scope),
      acquire: (input, { signal, caller }) => core.acquireTasks(input, signal, caller?.scope),
      heartbeat: (input, { caller }) => core.heartbeat(input, caller?.scope),
      heartbeatMany: (input, { caller }) => core.heartbeatMany(input, caller?.scope),
      complete: (input, { caller }) => core.completeTask(input, caller?.scope),
      completeMany: (input, { caller }) => core.completeTasks(input, caller?.scope),
      fail: (input, { caller }) => core.failTask(input, caller?.scope),
      release: (input, { caller }) => core.releaseTask(input, caller?.scope),
      cancel: (input, { caller }) => core.cancelTask(input, caller?.scope),
      retry: (input, { caller }) => core.retryTask(input, caller?.scope),
      cancelMany: (input, { caller }) => core.cancelTasks(input, caller?.scope),
      retryMany: (input, { caller }) => core.retryTasks(input, caller?.scope),
      appendLog: (input, { caller }) => core.appendLog(input, caller?.scope),
      logs: (input, { caller }) => core.listLogs(input, caller?.scope),
      events: (input, { caller }) => core.listEvents(input, caller?.scope),
      wait: (input, { signal, caller }) => core.waitForTasks(input, signal, caller?.scope),
    },
    events: { stream: (input, { signal, caller }) => core.streamEvents(input, signal, caller?.scope) },
    workers: { list: (input, { caller }) => core.listWorkers(input, caller?.scope) },
    paths: { list: (input, { caller }) => core.listPaths(input, caller?.scope), set: (input) => core.setPath(input) },
    keys: {
      create: (input) => keyring.create(input),
      list: (input) => keyring.list(input),
      revoke: (input) => keyring.revoke(input),
      rotate: (input) => keyring.rotate(input),
    },
    stats: { get: (_input, { caller }) => core.getStatistics(caller?.scope) },
    health: { get: () => health.get() },
  } satisfies Handlers;
}

/** An operation as a door sees it: its description, its name (`tasks.create`) and how to run it. */
export type Endpoint = CallEndpoint | StreamEndpoint;
export interface CallEndpoint {
  readonly name: string;
  readonly kind: 'query' | 'mutation';
  readonly operation: Operation;
  /**
   * Refuses who may not ask; that may be thrown at once, before there is a promise.
   * @param input has passed `operation.input`.
   * @param prepare makes the answer of the output, while what was written is on its way to the disk.
   */
  readonly run: <Answer>(
    input: unknown,
    context: OperationContext,
    prepare: (output: unknown) => Answer,
  ) => Promise<Answer>;
}
export interface StreamEndpoint {
  readonly name: string;
  readonly kind: 'subscription';
  readonly operation: Operation;
  readonly run: (input: unknown, context: StreamContext) => AsyncIterable<unknown>;
}

export interface Services {
  core: Core;
  health: HealthCheck;
  keyring: Keyring;
  watch: KeyWatch;
}

/** Every operation, bound to the core and to what its caller may do, in the order of the contract. */
export function bindOperations(services: Services): readonly Endpoint[] {
  const handlers: Record<string, Record<string, unknown>> = bindHandlers(services);
  return Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, operation]) => {
      const bound = { name: `${group}.${name}`, operation, services };
      const handler = handlers[group]?.[name];
      return operation.kind === 'subscription'
        ? toStreamEndpoint({ ...bound, handle: asHandler<StreamEndpoint['run']>(handler) })
        : toCallEndpoint({ ...bound, handle: asHandler<HandleCall>(handler) });
    }),
  );
}

/** `satisfies Handlers` guarantees that the handler at an operation's place takes its input and has its kind. */
function asHandler<Run>(handler: unknown): Run {
  return handler as Run;
}

type HandleCall = (input: unknown, context: OperationContext) => Promise<unknown>;

interface Bound<Handle> {
  readonly name: string;
  readonly operation: Operation;
  readonly services: Services;
  readonly handle: Handle;
}

function toCallEndpoint({ name, operation, services, handle }: Bound<HandleCall>): CallEndpoint {
  const { core, watch } = services;
  const ask = (input: unknown, context: OperationContext): Promise<unknown> => {
    const { caller, signal } = context;
    if (signal === undefined || caller === null || caller.hash === null) return handle(input, context);
    return holdCall({ watch, caller, signal, run: (signal) => handle(input, { ...context, signal }) });
  };
  return {
    name,
    kind: operation.kind === 'query' ? 'query' : 'mutation',
    operation,
    run(input, context, prepare) {
      authorize(name, operation, context.caller);
      const output = ask(input, context);
      // A read sees nothing that is not durable.
      return operation.kind === 'query' ? output.then(prepare) : core.durably(output, prepare);
    },
  };
}

function toStreamEndpoint({ name, operation, services, handle }: Bound<StreamEndpoint['run']>): StreamEndpoint {
  const { watch } = services;
  return {
    name,
    kind: 'subscription',
    operation,
    run(input, context) {
      const { caller, signal } = context;
      authorize(name, operation, caller);
      if (caller === null || caller.hash === null) return handle(input, context);
      return holdStream({ watch, caller, signal, run: (signal) => handle(input, { ...context, signal }) });
    },
  };
}

/** Whether the caller asked to wait; only then must its going away be noticed. */
export function isWaiting(input: unknown): boolean {
  const { wait_seconds: seconds } = input as { wait_seconds?: unknown };
  return typeof seconds === 'number' && seconds > 0;
}
