import type { Operation, Operations, TaskEvent } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import {
  initTRPC,
  tracked,
  type TRPCBuiltRouter,
  type TRPCMutationProcedure,
  type TRPCQueryProcedure,
  type TRPCSubscriptionProcedure,
} from '@trpc/server';
import type { z } from 'zod';
import type { Caller } from '../../caller.ts';
import type { Endpoint } from '../../operations.ts';
import { validateInput } from '../../validate.ts';
import { toErrorShape, unwrapTrpcError, type ErrorShape } from './error-shape.ts';

/** Plain data: what is named here ends up in the types of every client. */
export interface TrpcContext {
  requestId: string;
  caller: Caller | null;
}

/** The type that tRPC clients infer everything from. */
export type AppRouter = TRPCBuiltRouter<
  { ctx: TrpcContext; meta: object; errorShape: ErrorShape; transformer: false },
  { [Group in keyof Operations]: { [Name in keyof Operations[Group]]: ProcedureOf<Operations[Group][Name]> } }
>;

type ProcedureOf<Op> =
  Op extends Operation<infer Kind, infer Input, infer Output>
    ? {
        query: TRPCQueryProcedure<TypesOf<InputOf<Input>, z.output<Output>>>;
        mutation: TRPCMutationProcedure<TypesOf<InputOf<Input>, z.output<Output>>>;
        subscription: TRPCSubscriptionProcedure<TypesOf<InputOf<Input>, AsyncIterable<Tracked<z.output<Output>>>>>;
      }[Kind]
    : never;
type TypesOf<Input, Output> = { input: Input; output: Output; meta: object };
/** Where every field may be left out, so may the whole input. */
type InputOf<Schema extends z.ZodType> =
  Record<never, never> extends z.input<Schema> ? z.input<Schema> | void : z.input<Schema>;
interface Tracked<Data> {
  id: string;
  data: Data;
}

const PING_MS = 15_000;
/** Clients come back by themselves, with a key that is looked at anew. */
const MAX_STREAM_MS = 300_000;

export function createAppRouter(endpoints: readonly Endpoint[]): AppRouter {
  const trpc = initTRPC.context<TrpcContext>().create({
    isDev: false,
    errorFormatter: ({ error, path, ctx }) => toErrorShape(unwrapTrpcError(error, ctx?.requestId ?? ''), path),
    sse: {
      ping: { enabled: true, intervalMs: PING_MS },
      maxDurationMs: MAX_STREAM_MS,
      client: { reconnectAfterInactivityMs: 2 * PING_MS },
    },
    jsonl: { pingMs: PING_MS },
  });

  function toProcedure(endpoint: Endpoint) {
    if (endpoint.kind === 'subscription') {
      return trpc.procedure
        .input((input) => readStreamInput(endpoint.operation, input))
        .subscription(({ input, ctx: { caller }, signal = new AbortController().signal }) =>
          trackEvents(endpoint.run(input, { caller, signal }), signal),
        );
    }
    const procedure = trpc.procedure.input((input) => validateInput(endpoint.operation, input ?? {}));
    const run = ({
      input,
      ctx: { caller },
      signal,
    }: {
      input: unknown;
      ctx: TrpcContext;
      signal: AbortSignal | undefined;
    }) => endpoint.run(input, { caller, signal }, (output) => output);
    return endpoint.kind === 'query' ? procedure.query(run) : procedure.mutation(run);
  }

  const groups = Object.groupBy(endpoints, ({ name }) => groupOf(name));
  const record = Object.fromEntries(
    Object.entries(groups).map(([group, members = []]) => [
      group,
      Object.fromEntries(members.map((endpoint) => [endpoint.name.slice(group.length + 1), toProcedure(endpoint)])),
    ]),
  );
  return asAppRouter(trpc.router(record));
}

/** The record has a procedure for each endpoint, and the endpoints are the operations of the contract. */
function asAppRouter(router: unknown): AppRouter {
  return router as AppRouter;
}

function groupOf(name: string): string {
  return name.slice(0, name.indexOf('.'));
}

/** A client that comes back says where it was in tRPC's own field. */
function readStreamInput(operation: Operation, input: unknown): unknown {
  const { lastEventId, ...fields } = (input ?? {}) as { lastEventId?: unknown };
  return validateInput(operation, lastEventId === undefined ? fields : { ...fields, last_event_id: lastEventId });
}

async function* trackEvents(events: AsyncIterable<unknown>, signal: AbortSignal) {
  for await (const event of events as AsyncIterable<TaskEvent>) yield tracked(event.event_id, event);
  // To return would tell the client that there is no more to come; an outage makes it come back, here or elsewhere.
  if (!signal.aborted)
    throw new DomainError('UNAVAILABLE', 'The server is ending; the stream goes on after a reconnect');
}
