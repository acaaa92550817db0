import type { CoreTracer } from '@task-orchestrator/core';
import type { FastifyInstance } from 'fastify';
import type { Endpoint } from '../operations.ts';

/** What a server does when tracing is switched on. Nothing here is loaded, nor any of it asked, while it is off. */
export interface Tracing {
  readonly core: CoreTracer;
  /** A span for each HTTP request but those of monitoring. To be called before other hooks are added. */
  traceRequests(app: FastifyInstance): void;
  /** The same operations, with a span for each call that belongs to a traced request. */
  traceOperations(endpoints: readonly Endpoint[]): readonly Endpoint[];
  /** For every line of the log: the trace it belongs to. */
  logFields(): object;
  /** Sends what has been recorded, within reason. */
  stop(): Promise<void>;
}
