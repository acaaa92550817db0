import type { IncomingMessage } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, type AuthInfo } from '@modelcontextprotocol/server';
import type { Core } from '@task-orchestrator/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { refuseStranger } from '../../authorize.ts';
import type { Caller } from '../../caller.ts';
import type { KeyWatch } from '../../key-watch.ts';
import type { Endpoint } from '../../operations.ts';
import type { RecorderOf } from '../../record-request.ts';
import { createAsk } from './ask.ts';
import type { Exchange } from './call-tool.ts';
import { createCancellations } from './cancellations.ts';
import { createMcpServer, type McpServerOptions } from './create-server.ts';
import { LISTEN, methodOf } from './method-of.ts';
import { createChangeBus } from './resource-changes.ts';
import { TOOLS } from './tools/all.ts';

export type CreateMcpServer = (options: McpServerOptions) => ReturnType<typeof createMcpServer>;

export interface McpDoorServices {
  core: Pick<Core, 'streamEvents'>;
  endpoints: readonly Endpoint[];
  recorderOf: RecorderOf;
  watch: KeyWatch;
  /** Another server than the one of this door: the test of protocol conformance adds its fixtures. */
  createServer?: CreateMcpServer | undefined;
}

export interface McpDoor {
  /** Answers and records a request that Fastify has let go of. */
  handle(request: FastifyRequest, reply: FastifyReply): Promise<void>;
  close(): Promise<void>;
}

/** Beside the tools, what gets a series of its own in the metrics. */
const METHODS = ['server/discover', 'initialize', 'tools/list', 'resources/read', 'prompts/get', 'tasks/get'];

/** What is behind `/mcp`. With the SDK and all that only it needs it takes some megabytes, so it is loaded when somebody asks. */
export function createMcpDoor(services: McpDoorServices): McpDoor {
  const { core, endpoints, recorderOf, watch, createServer = createMcpServer } = services;
  const askAs = createAsk(endpoints);
  const bus = createChangeBus(core);
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

  async function handle(request: FastifyRequest, reply: FastifyReply): Promise<void> {
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

  return { handle, close: () => handler.close() };
}

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
