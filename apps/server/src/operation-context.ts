import type { FastifyRequest } from 'fastify';
import type { OperationContext } from './operations.ts';
import { findTraceparent } from './traceparent.ts';

/** What an operation is told of the request that asks for it. @param signal for an operation that waits. */
export function contextOf({ caller, headers }: FastifyRequest, signal: AbortSignal | undefined): OperationContext {
  const { traceparent } = headers;
  if (traceparent === undefined) return { caller, signal };
  return { caller, signal, traceparent: findTraceparent(traceparent) };
}
