import { DomainError, invalidField } from '@task-orchestrator/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admit } from '../../admission.ts';
import { toRefusal, type Refusal } from '../../refusal.ts';
import { sendRefusal } from '../json-answer.ts';
import { createHostCheck } from './allowed-hosts.ts';
import type { McpDoor, McpDoorServices } from './door.ts';
import { LISTEN, methodOf } from './method-of.ts';

export interface McpRouteServices extends McpDoorServices {
  admit: Admit;
  allowedHosts: readonly string[];
  allowedOrigins: readonly string[];
}

/** Messages in one request: small ones come by the ten thousand into what a body may hold. */
const MAX_BATCH = 100;

/** MCP over streamable HTTP at `/mcp`: stateless, every request may reach another server. */
export function registerMcpRoutes(app: FastifyInstance, services: McpRouteServices): void {
  const { admit, recorderOf, allowedHosts, allowedOrigins } = services;
  const checkHost = createHostCheck({ allowedHosts, allowedOrigins });
  const recordOther = recorderOf('POST', 'mcp.other');
  const underWay = new Set<Promise<void>>();
  let door: Promise<McpDoor> | undefined;
  let isEnding = false;

  const openDoor = (): Promise<McpDoor> => (door ??= import('./door.ts').then((file) => file.createMcpDoor(services)));

  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const refusal = toRefusal(error, request.id);
    sendRefusal(reply, refusal, JSON.stringify(toJsonRpcError(refusal)));
    recordOther(request, { status: refusal.status, refusal });
  };

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.hijack();
    const opened = await openDoor();
    // Who has gone while the door was loaded would never be missed.
    if (!reply.raw.closed) await opened.handle(request, reply);
  }

  app.route({
    method: 'POST',
    url: '/mcp',
    onRequest(request, reply, done) {
      const foreign = checkHost(request.headers);
      if (foreign) done(foreign);
      else admit(request, reply, 1, done);
    },
    // Of a batch, which only the oldest clients send, the first call has been paid for.
    preHandler(request, reply, done) {
      const more = Array.isArray(request.body) ? request.body.length - 1 : 0;
      if (more >= MAX_BATCH) done(invalidField('body', `must have at most ${MAX_BATCH} messages`));
      else if (more > 0) admit(request, reply, more, done);
      else done();
    },
    errorHandler: refuse,
    handler(request, reply) {
      const mismatch = findNameMismatch(request);
      if (mismatch) return void reply.code(400).send(mismatch);
      if (isEnding) throw new DomainError('UNAVAILABLE', 'The server is ending; ask again');
      const call = answer(request, reply).catch((error: unknown) => {
        // A call that was taken back has been ended under the SDK's hands.
        if (reply.raw.writableEnded) return;
        const refusal = toRefusal(error, request.id);
        recordOther(request, { status: refusal.status, refusal });
        reply.raw.destroy();
      });
      if (methodOf(request.body) !== LISTEN) {
        underWay.add(call);
        void call.finally(() => underWay.delete(call));
      }
      return undefined;
    },
  });

  // Long polls answer as the core drains. Streams of subscribers have no end of their own, and end after them.
  app.addHook('preClose', (done) => {
    isEnding = true;
    void Promise.allSettled(underWay).then(async () => (await door)?.close());
    done();
  });
}

/** What a client that speaks JSON-RPC can show of a refusal that came before its message was read. */
function toJsonRpcError({ body, retryAfterSeconds }: Refusal): object {
  const data = { ...body, ...(retryAfterSeconds !== undefined && { retry_after_seconds: retryAfterSeconds }) };
  return { jsonrpc: '2.0', id: null, error: { code: REFUSED, message: `${body.code}: ${body.message}`, data } };
}

const REFUSED = -32_000;

const HEADER_MISMATCH = -32_020;
const HANDLE_METHODS: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

/** Between the header that proxies route by and the handle in the message: the SDK does not know these methods. */
function findNameMismatch({ headers, body }: FastifyRequest): object | undefined {
  if (!HANDLE_METHODS.has(methodOf(body))) return undefined;
  const { id, params } = body as { id?: unknown; params?: { taskId?: unknown } };
  if (headers['mcp-name'] === params?.taskId) return undefined;
  const message = 'The header Mcp-Name must be params.taskId';
  return { jsonrpc: '2.0', id: id ?? null, error: { code: HEADER_MISMATCH, message } };
}
