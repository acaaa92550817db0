import { createCaller, type CallOptions, type MakeCall } from './call.ts';
import { streamEvents, type StreamOptions } from './event-stream.ts';
import { createFetchExchange, createNodeExchange } from './exchange.ts';
import { Http } from './http.ts';
import { toRetryPolicy, type RetryOptions } from './retry.ts';
import { timeOrderedId } from './time-ordered-id.ts';
import { traceCreated, type Tracing } from './tracing.ts';
import { waitForTasks, type WaitForOptions, type WaitForResult } from './wait-for-tasks.ts';
import { operationKinds, type OperationTypes } from './wire.ts';

/** Where the service is and how calls to it are made. */
export interface ClientOptions {
  /** Base URL of the server, or of several: after a network error or a 503 the next one is asked. */
  url: string | readonly string[];
  /** Sent as `Authorization: Bearer`. */
  apiKey?: string | undefined;
  /** For all requests. Default: `node:http` where that is to be had, and for streams and elsewhere the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** How long one attempt of a call may take, beside the `wait_seconds` of a long poll. Default: 30. */
  timeoutSeconds?: number | undefined;
  /** `false`: calls are never repeated. */
  retry?: RetryOptions | false | undefined;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Calls, and the tasks that they create, carry the trace that they are made in. Default: they do not. */
  tracing?: Tracing | undefined;
}

type AnyTypes = { kind: string; input: unknown; output: unknown };

type Arguments<Input, Options> = {} extends Input
  ? [input?: Input, options?: Options]
  : [input: Input, options?: Options];

/** The method of one operation: a promise of its output, or the items of a stream. */
export type Method<Types extends AnyTypes> = Types['kind'] extends 'subscription'
  ? (...args: Arguments<Types['input'], StreamOptions>) => AsyncIterableIterator<Types['output']>
  : (...args: Arguments<Types['input'], CallOptions>) => Promise<Types['output']>;

type Methods = {
  readonly [Group in keyof OperationTypes]: {
    readonly [Name in keyof OperationTypes[Group]]: OperationTypes[Group][Name] extends AnyTypes
      ? Method<OperationTypes[Group][Name]>
      : never;
  };
};

/**
 * Every operation of the service as a method, named as in the API: `client.tasks.create(input, { signal })`. Inputs
 * and outputs have the names and units of the wire. A method rejects with an `OrchestratorError`, or with the reason
 * of the `signal`.
 */
export interface Client extends Methods {
  readonly tasks: Methods['tasks'] & {
    /**
     * Waits until any or all of up to 100 tasks have finished, as long as it takes or for `timeoutSeconds`; then
     * `done` is false and `pending` names the others. A task is finished when completed, failed or cancelled.
     * @throws `TaskNotFoundError` for an unknown task.
     */
    waitFor(taskIds: readonly string[], options?: WaitForOptions): Promise<WaitForResult>;
  };
}

/** What an operation takes: `Input<'tasks', 'create'>`. */
export type Input<
  Group extends keyof OperationTypes,
  Name extends keyof OperationTypes[Group],
> = OperationTypes[Group][Name] extends { input: infer Value } ? Value : never;

/** What an operation answers; of a stream, one item: `Output<'tasks', 'list'>`. */
export type Output<
  Group extends keyof OperationTypes,
  Name extends keyof OperationTypes[Group],
> = OperationTypes[Group][Name] extends { output: infer Value } ? Value : never;

/**
 * Connects to a Task Orchestrator. Nothing is sent before the first call, and there is nothing to close.
 *
 * Calls that fail by a network error, a 503 or a 429 are repeated with growing, random pauses. That is safe: the
 * client names each `tasks.create` (`idempotency_key`) and each `tasks.acquire` (`acquire_id`) unless the caller did,
 * and the server answers a repeated call as it answered the first. What cannot be repeated safely (`tasks.next`,
 * `tasks.appendLog`, `tasks.retry`, changes of keys) is repeated only while the server cannot have seen it.
 *
 * @throws `TypeError` for an option that cannot work.
 */
export function createClient(options: ClientOptions): Client {
  const { tracing } = options;
  const send: typeof fetch = options.fetch ?? ((...args) => fetch(...args));
  const byFetch = createFetchExchange(send);
  const http = new Http({
    bases: toBases(options.url),
    headers: toHeaders(options),
    fetch: send,
    exchange: options.fetch ? byFetch : (createNodeExchange(byFetch) ?? byFetch),
    traceparent: () => tracing?.traceparent(),
  });
  const makeCall = createCaller(http, {
    timeoutSeconds: options.timeoutSeconds ?? 30,
    retry: toRetryPolicy(options.retry),
  });
  const methods = Object.entries<Record<string, string>>(operationKinds).map(([group, kinds]) => {
    const members = Object.entries(kinds).map(([name, kind]) => [
      name,
      toMethod({ http, makeCall, path: `${group}.${name}`, kind, tracing }),
    ]);
    return [group, Object.fromEntries(members)];
  });
  // `operationKinds` has the names of all operations, and `OperationTypes` is made from the same contract.
  const client = Object.fromEntries(methods) as Methods;
  const { tasks } = client;
  return { ...client, tasks: { ...tasks, waitFor: (ids, waitOptions) => waitForTasks(tasks.wait, ids, waitOptions) } };
}

function toMethod(method: {
  http: Http;
  makeCall: MakeCall;
  path: string;
  kind: string;
  tracing: Tracing | undefined;
}) {
  const { http, makeCall, path, kind, tracing } = method;
  if (kind === 'subscription')
    return (input: object = {}, options?: StreamOptions) => streamEvents(http, { ...input }, options);
  const isReplaySafe = kind === 'query' || REPLAY_SAFE.has(path);
  const identify = IDENTIFIED[path];
  return (given: object = {}, options?: CallOptions) => {
    const input: Fields = tracing ? traceCreated(path, { ...given }, tracing) : { ...given };
    return makeCall(
      {
        path,
        kind: kind === 'query' ? 'query' : 'mutation',
        input: identify ? identify(input) : input,
        waitSeconds: waitSecondsOf(path, input),
        isReplaySafe,
      },
      options,
    );
  };
}

/** Mutations that the server answers the second time as the first, or that may be done twice. */
const REPLAY_SAFE = new Set<string>([
  'tasks.create',
  'tasks.createMany',
  'tasks.acquire',
  'tasks.heartbeat',
  'tasks.heartbeatMany',
  'tasks.complete',
  'tasks.completeMany',
  'tasks.fail',
  'tasks.release',
  'tasks.cancel',
  'tasks.cancelMany',
  'tasks.wait',
  'paths.set',
]);

type Fields = Readonly<Record<string, unknown>>;

/** Names given to calls by which the server knows them again. */
const IDENTIFIED: Readonly<Record<string, (input: Fields) => Fields>> = {
  'tasks.create': (input) => ({ idempotency_key: timeOrderedId(), ...given(input) }),
  'tasks.createMany': (input) => {
    const batchId = timeOrderedId();
    if (!Array.isArray(input['tasks'])) return input;
    const tasks = input['tasks'].map((task: Fields, index) => ({
      idempotency_key: `${batchId}:${index}`,
      ...given(task),
    }));
    return { ...input, tasks };
  },
  'tasks.acquire': (input) => ({ acquire_id: timeOrderedId(), ...given(input) }),
};

/** A field that is present as `undefined` is one that is absent. */
function given(input: Fields): Fields {
  const isGiven = ([, value]: [string, unknown]): boolean => value !== undefined;
  const entries = Object.entries(input);
  return entries.every(isGiven) ? input : Object.fromEntries(entries.filter(isGiven));
}

/** As in the contract: only `tasks.wait` waits unless told otherwise. */
const DEFAULT_WAIT_SECONDS = 30;

function waitSecondsOf(path: string, input: Fields): number {
  const wanted = input['wait_seconds'];
  if (typeof wanted === 'number') return wanted;
  return path === 'tasks.wait' ? DEFAULT_WAIT_SECONDS : 0;
}

function toBases(url: string | readonly string[]): string[] {
  const bases = (typeof url === 'string' ? [url] : url).map((base) => new URL(base).href.replace(/\/+$/, ''));
  if (bases.length === 0) throw new TypeError('createClient needs at least one url');
  return bases;
}

function toHeaders({ apiKey, headers }: ClientOptions): Record<string, string> {
  const all = { ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }), ...headers };
  // Refuses here what `fetch` would refuse at every call.
  new Headers(all);
  return all;
}
