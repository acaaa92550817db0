import { fastifyRequestHandler } from '@trpc/server/adapters/fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Endpoint } from '../../operations.ts';
import type { Record as RecordRequest } from '../../record-request.ts';
import { unwrapTrpcError } from './error-shape.ts';
import { createAppRouter } from './router.ts';
import { MAX_BATCH, pathOf } from './routes.ts';

export type AnswerStream = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/** What goes to tRPC's own adapter. With it comes what is behind `fetch`, so this file is loaded when somebody asks. */
export function createStreams(services: { endpoints: readonly Endpoint[]; recordOther: RecordRequest }): AnswerStream {
  const { endpoints, recordOther } = services;
  const router = createAppRouter(endpoints);
  return async (request, reply) =>
    fastifyRequestHandler({
      req: request,
      res: reply,
      path: pathOf(request),
      router,
      createContext: () => ({ requestId: request.id, caller: request.caller }),
      maxBatchSize: MAX_BATCH,
      allowMethodOverride: true,
      onError({ error }) {
        const refusal = unwrapTrpcError(error, request.id);
        recordOther(request, { status: refusal.status, refusal, isWaiting: true });
      },
    });
}
