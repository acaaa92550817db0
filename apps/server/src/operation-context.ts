import type { FastifyRequest } from 'fastify';
import type { OperationContext } from './operations.ts';
import { findTraceparent } from './traceparent.ts';

const NOTHING: OperationContext = {};

/** What an operation is told of the request that asks for it. @param signal for an operation that waits. */
export function contextOf({ headers }: FastifyRequest, signal: AbortSignal | undefined): OperationContext {
  const { traceparent } = headers;
  if (traceparent === undefined) return signal === undefined ? NOTHING : { signal };
  return { signal, traceparent: findTraceparent(traceparent) };
}
