import { DomainError } from '@task-orchestrator/core';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** Answers 405 with `Allow` for the methods that a URL of the app has no route for. Comes after all routes. */
export function refuseOtherMethods(
  app: FastifyInstance,
  urls: ReadonlySet<string>,
  refuse: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void,
): void {
  for (const url of urls) {
    const allowed = METHODS.filter((method) => app.hasRoute({ method, url }));
    const allow = allowed.join(', ');
    app.route({
      method: METHODS.filter((method) => !allowed.includes(method)),
      url,
      // As a hook, before the body is read: it does not matter what it holds.
      onRequest(request, reply, _done) {
        reply.header('allow', allow);
        refuse(
          new DomainError('METHOD_NOT_ALLOWED', `${request.method} is not allowed here, only ${allow}`),
          request,
          reply,
        );
      },
      handler: () => undefined,
    });
  }
}
