import type { FastifyInstance } from 'fastify';
import { operations } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import type { Admit } from './admission.ts';
import { authorize } from './authorize.ts';
import type { Caller } from './caller.ts';
import type { HealthCheck } from './health.ts';
import type { Metrics } from './metrics.ts';
import { sendJson } from './transports/json-answer.ts';

/** What orchestrators and monitoring ask: liveness, readiness, metrics. */
export function registerSystemRoutes(
  app: FastifyInstance,
  services: { health: HealthCheck; metrics: Metrics; admitToMetrics: Admit | undefined },
): void {
  const { health, metrics, admitToMetrics } = services;

  app.get('/health/live', (_request, reply) => sendJson(reply, 200, '{"status":"alive"}'));

  app.get('/health/ready', (_request, reply) => {
    const answer = (isReady: boolean) => {
      const problem = health.writeProblem();
      const body = { status: isReady ? 'ready' : 'unavailable', ...(problem !== null && { problem }) };
      sendJson(reply, isReady ? 200 : 503, JSON.stringify(body));
    };
    health.isReady().then(answer, () => answer(false));
  });

  app.route({
    method: 'GET',
    url: '/metrics',
    ...(admitToMetrics && {
      onRequest: (request, reply, done) => admitToMetrics(request, reply, 1, done),
    }),
    async handler({ caller }, reply) {
      if (admitToMetrics) authorizeMetrics(caller);
      return reply.header('content-type', metrics.contentType).send(await metrics.render());
    },
  });
}

/** The same numbers as the statistics, and those of all tasks. */
function authorizeMetrics(caller: Caller | null): void {
  authorize('GET /metrics', operations.stats.get, caller);
  if (caller?.scope !== undefined) throw new DomainError('FORBIDDEN', 'GET /metrics needs a key without path prefixes');
}
