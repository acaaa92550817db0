import { isSpanContextValid, SpanStatusCode, trace, type Attributes, type Link, type Span } from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { DomainError } from '@task-orchestrator/core';
import type { CallEndpoint, Endpoint, OperationContext } from '../operations.ts';
import { toRefusal } from '../refusal.ts';
import { Scope, type Recorder } from './scope.ts';

/** Streams have no span of their own: that of their request says how long they lasted. */
export function traceOperations(endpoints: readonly Endpoint[], recorder: Recorder): readonly Endpoint[] {
  return endpoints.map((endpoint) => (endpoint.kind === 'subscription' ? endpoint : traceCall(endpoint, recorder)));
}

function traceCall(endpoint: CallEndpoint, recorder: Recorder): CallEndpoint {
  const { tracer, scopes } = recorder;
  const { name } = endpoint;
  const attributes = describe(name);

  async function run<Answer>(
    input: unknown,
    context: OperationContext,
    { scope, prepare }: { scope: Scope; prepare: (output: unknown) => Answer },
  ): Promise<Answer> {
    try {
      return await endpoint.run(input, handOn(context, scope.span), (output) => {
        if (scope.span.isRecording()) scope.span.addLinks(linksToProducers(output));
        return prepare(output);
      });
    } catch (error) {
      markFailed(scope.span, error);
      throw error;
    } finally {
      scope.end();
    }
  }

  return {
    ...endpoint,
    run(input, context, prepare) {
      const around = scopes.getStore();
      if (!around) return endpoint.run(input, context, prepare);
      const { parent, links } = placeIn(around, context.traceparent);
      // Nobody records it: only the trace has to go on with the tasks.
      if (links.length === 0 && !around.span.isRecording())
        return endpoint.run(input, handOn(context, around.span), prepare);
      const span = tracer.startSpan(name, { attributes: { ...attributes, ...identify(input) }, links }, parent);
      const scope = new Scope(span, recorder);
      return scopes.run(scope, () => run(input, context, { scope, prepare }));
    },
  };
}

/** A caller that names a trace inside its message is in that trace, and the request only carries the message. */
function placeIn(request: Scope, traceparent: string | undefined): { parent: Scope['context']; links: Link[] } {
  const caller = traceparent === undefined ? null : parseTraceParent(traceparent);
  const carrier = request.span.spanContext();
  if (caller === null || caller.traceId === carrier.traceId) return { parent: request.context, links: [] };
  return {
    parent: trace.setSpanContext(request.context, { ...caller, isRemote: true }),
    links: [{ context: carrier }],
  };
}

/** The caller's trace goes on with the tasks that it creates; without one, the trace of this server. */
function handOn(context: OperationContext, span: Span): OperationContext {
  return { ...context, traceparent: context.traceparent ?? toTraceparent(span) };
}

/** https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ */
const MESSAGING: Readonly<Record<string, string>> = {
  'tasks.create': 'send',
  'tasks.createMany': 'send',
  'tasks.acquire': 'receive',
  'tasks.next': 'receive',
  'tasks.complete': 'settle',
  'tasks.completeMany': 'settle',
  'tasks.fail': 'settle',
  'tasks.release': 'settle',
};

function describe(name: string): Attributes {
  const type = MESSAGING[name];
  if (type === undefined) return {};
  return {
    'messaging.system': 'task_orchestrator',
    'messaging.operation.name': name,
    'messaging.operation.type': type,
  };
}

/** Of the input, ids and numbers alone: everything else is the business of its caller. */
function identify(input: unknown): Attributes {
  const { task_id, tasks, completions } = input as Readonly<Record<string, unknown>>;
  const batch = tasks ?? completions;
  return {
    ...(typeof task_id === 'string' && { 'messaging.message.id': task_id }),
    ...(Array.isArray(batch) && { 'messaging.batch.message_count': batch.length }),
  };
}

/** From what a worker gets to where its tasks come from. */
function linksToProducers(output: unknown): Link[] {
  const { tasks } = (output ?? {}) as { tasks?: unknown };
  return (Array.isArray(tasks) ? tasks : [output]).flatMap((task: unknown) => {
    const { lease_token, metadata } = (task ?? {}) as { lease_token?: unknown; metadata?: { traceparent?: unknown } };
    const traceparent = metadata?.traceparent;
    if (lease_token === undefined || typeof traceparent !== 'string') return [];
    const context = parseTraceParent(traceparent);
    return context === null ? [] : [{ context }];
  });
}

function toTraceparent(span: Span): string | undefined {
  const context = span.spanContext();
  if (!isSpanContextValid(context)) return undefined;
  return `00-${context.traceId}-${context.spanId}-0${context.traceFlags & 1}`;
}

/** A refusal is an answer; an outage or a bug is an error. Neither's message is shown: it may quote its input. */
function markFailed(span: Span, error: unknown): void {
  const { status, body } = toRefusal(error, '');
  span.setAttribute('error.type', body.code);
  if (status >= 500 || !(error instanceof DomainError)) span.setStatus({ code: SpanStatusCode.ERROR });
}
