import type { IncomingMessage } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, type AuthInfo } from '@modelcontextprotocol/server';
import { DomainError, invalidField, type Core } from '@task-orchestrator/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admit } from '../../admission.ts';
import { refuseStranger } from '../../authorize.ts';
import type { Caller } from '../../caller.ts';
import type { KeyWatch } from '../../key-watch.ts';
import type { Endpoint } from '../../operations.ts';
import type { RecorderOf } from '../../record-request.ts';
import { toRefusal, type Refusal } from '../../refusal.ts';
import { sendRefusal } from '../json-answer.ts';
import { createHostCheck } from './allowed-hosts.ts';
import { createAsk } from './ask.ts';
import type { Exchange } from './call-tool.ts';
import { createCancellations } from './cancellations.ts';
import { createMcpServer, type McpServerOptions } from './create-server.ts';
import { createChangeBus } from './resource-changes.ts';
import { TOOLS } from './tools/all.ts';

export type CreateMcpServer = (options: McpServerOptions) => ReturnType<typeof createMcpServer>;

export interface McpRouteServices {
  core: Pick<Core, 'streamEvents'>;
  endpoints: readonly Endpoint[];
  admit: Admit;
  recorderOf: RecorderOf;
  watch: KeyWatch;
  allowedHosts: readonly string[];
  allowedOrigins: readonly string[];
  /** Another server than the one of this door: the test of protocol conformance adds its fixtures. */
  createServer?: CreateMcpServer | undefined;
}

/** Beside the tools, what gets a series of its own in the metrics. */
const METHODS = ['server/discover', 'initialize', 'tools/list', 'resources/read', 'prompts/get', 'tasks/get'];

/** Messages in one request: small ones come by the ten thousand into what a body may hold. */
const MAX_BATCH = 100;

const LISTEN = 'subscriptions/listen';

/** MCP over streamable HTTP at `/mcp`: stateless, every request may reach another server. */
export function registerMcpRoutes(app: FastifyInstance, services: McpRouteServices): void {
  const { core, endpoints, admit, recorderOf, watch, allowedHosts, allowedOrigins } = services;
  const { createServer = createMcpServer } = services;
  const askAs = createAsk(endpoints);
  const bus = createChangeBus(core);
  const checkHost = createHostCheck({ allowedHosts, allowedOrigins });
  const names = [...TOOLS.map(({ definition }) => definition.name), ...METHODS];
  const recorders = new Map(names.map((name) => [name, recorderOf('POST', `mcp.${name}`)]));
  const recordOther = recorderOf('POST', 'mcp.other');

  const handler = createMcpHandler(
    ({ era, authInfo }) => {
      const { caller, exchange } = factsOf(authInfo);
      return createServer({ era, caller, ask: askAs(caller), exchange, tools: TOOLS, canPush: era === 'modern' });
    },
    { bus },
  );
  const answer = toNodeHandler(handler);
  const cancellations = createCancellations();
  const underWay = new Set<Promise<void>>();
  let isEnding = false;

  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const refusal = toRefusal(error, request.id);
    sendRefusal(reply, refusal, JSON.stringify(toJsonRpcError(refusal)));
    recordOther(request, { status: refusal.status, refusal });
  };

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    reply.hijack();
    for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '');
    // Of a client that went away while it was answered; `close` tells who has to know.
    reply.raw.on('error', () => undefined);
    cancellations.follow(request, reply);
    let isRecorded = false;
    const exchange: Exchange = {
      requestId: request.id,
      baseUrl: `${request.protocol}://${request.host}`,
      record(name, outcome) {
        isRecorded = true;
        (recorders.get(name) ?? recordOther)(request, outcome);
      },
    };
    const method = methodOf(request.body);
    const caller = callerOf(request);
    const respond = () => answer(withAuth(request.raw, toAuthInfo({ exchange, caller })), reply.raw, request.body);
    await (method === LISTEN ? listen(caller, reply, respond) : respond());
    if (isRecorded) return;
    const record = recorders.get(method) ?? recordOther;
    record(request, { status: reply.raw.statusCode, isWaiting: method === LISTEN });
  }

  /** Lasts as long as the client wants, and no longer than its key. */
  async function listen(caller: Caller, reply: FastifyReply, respond: () => Promise<void>): Promise<void> {
    const key = watch.hold(caller);
    const end = (): void => void reply.raw.end();
    key.signal.addEventListener('abort', end, { once: true });
    try {
      await bus.listenIn(caller.scope, respond);
    } finally {
      key.signal.removeEventListener('abort', end);
      key.release();
    }
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
      const call = handle(request, reply).catch((error: unknown) => {
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
    void Promise.allSettled(underWay).then(() => handler.close());
    done();
  });
}

/** What a client that speaks JSON-RPC can show of a refusal that came before its message was read. */
function toJsonRpcError({ body, retryAfterSeconds }: Refusal): object {
  const data = { ...body, ...(retryAfterSeconds !== undefined && { retry_after_seconds: retryAfterSeconds }) };
  return { jsonrpc: '2.0', id: null, error: { code: REFUSED, message: `${body.code}: ${body.message}`, data } };
}

const REFUSED = -32_000;

/** The SDK hands on, untouched, what it takes for the facts of an access token. */
function toAuthInfo(facts: Facts): AuthInfo {
  return { token: '', clientId: facts.caller.key_id, scopes: [], extra: { facts } };
}

interface Facts {
  readonly caller: Caller;
  readonly exchange: Exchange;
}

function callerOf({ caller }: FastifyRequest): Caller {
  if (caller === null) throw refuseStranger();
  return caller;
}

/** Node leaves the method open for the sake of responses; a request has one. */
function withAuth(
  message: IncomingMessage,
  auth: AuthInfo,
): IncomingMessage & { method: string; url: string; auth: AuthInfo } {
  return Object.assign(message, { method: message.method ?? 'POST', url: message.url ?? '/mcp', auth });
}

/** `handle` puts it there for every request. */
function factsOf(authInfo: AuthInfo | undefined): Facts {
  return authInfo?.extra?.['facts'] as Facts;
}

function methodOf(body: unknown): string {
  const { method } = (body ?? {}) as { method?: unknown };
  return typeof method === 'string' ? method : '';
}

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
