import {
  defaultTextMapGetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Scope, type Recorder } from './scope.ts';

/** Asked every few seconds, by machines: their traces would bury the others. */
const MONITORING = /^\/(health|metrics)\b/;

const propagator = new W3CTraceContextPropagator();

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server */
export function traceRequests(app: FastifyInstance, recorder: Recorder): void {
  const { tracer, scopes } = recorder;
  const scopeOf = new WeakMap<FastifyRequest, Scope>();

  app.addHook('onRequest', (request, reply, done) => {
    if (MONITORING.test(request.url)) return done();
    const scope = new Scope(startSpan(request, tracer), recorder);
    scopeOf.set(request, scope);
    request.traceId = scope.span.spanContext().traceId;
    reply.raw.once('close', () => {
      describeEnd(scope.span, reply);
      scope.end();
    });
    scopes.run(scope, done);
  });

  // A body arrives in another context than that of its request.
  app.addHook('preHandler', (request, _reply, done) => {
    const scope = scopeOf.get(request);
    if (scope) scopes.run(scope, done);
    else done();
  });
}

/** The query string is left out: it may hold anything. */
function startSpan(request: FastifyRequest, tracer: Tracer): Span {
  const { url: route } = request.routeOptions;
  const attributes = {
    'http.request.method': request.method,
    'url.scheme': request.protocol,
    'url.path': request.url.split('?', 1)[0],
    ...(route !== undefined && { 'http.route': route }),
  };
  const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter);
  const name = route === undefined ? request.method : `${request.method} ${route}`;
  return tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent);
}

function describeEnd(span: Span, { raw }: FastifyReply): void {
  if (raw.headersSent) span.setAttribute('http.response.status_code', raw.statusCode);
  if (raw.statusCode >= 500) {
    span.setAttribute('error.type', String(raw.statusCode));
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
}
