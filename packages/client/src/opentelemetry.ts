import { context, isSpanContextValid, SpanKind, SpanStatusCode, trace, type Context } from '@opentelemetry/api';
import type { Tracing } from './tracing.ts';
import type { AcquiredTask } from './wire.ts';

export type { Tracing } from './tracing.ts';

/**
 * Traces with OpenTelemetry, through the provider that the program has registered: hand it to `createClient`, so that
 * calls carry the trace they are made in, and to `Worker`, so that each handler runs in a span of its task's trace.
 * Needs `@opentelemetry/api`; the rest of this package does not.
 */
export const tracing: Tracing = {
  traceparent() {
    const span = trace.getSpanContext(context.active());
    if (!span || !isSpanContextValid(span)) return undefined;
    return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`;
  },

  process(task, handle) {
    const tracer = trace.getTracer('@task-orchestrator/client');
    const options = { kind: SpanKind.CONSUMER, attributes: describe(task) };
    return tracer.startActiveSpan('process task', options, contextOf(task), async (span) => {
      try {
        return await handle();
      } catch (error) {
        // Its message may quote the prompt or what the handler has read.
        span.setAttribute('error.type', error instanceof Error ? error.name : typeof error);
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    });
  },
};

/** https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ */
function describe({ task_id, attempt, lease_epoch }: AcquiredTask) {
  return {
    'messaging.system': 'task_orchestrator',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.message.id': task_id,
    'task_orchestrator.task.attempt': attempt,
    'task_orchestrator.task.lease_epoch': lease_epoch,
  };
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Where the task was created; where the worker is, when nobody traced that. */
function contextOf({ metadata }: AcquiredTask): Context {
  const { traceparent } = metadata;
  const [, traceId, spanId, flags] = (typeof traceparent === 'string' && TRACEPARENT.exec(traceparent)) || [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return context.active();
  return trace.setSpanContext(context.active(), {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  });
}
