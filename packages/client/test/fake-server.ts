import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Thrown by a procedure: the refusal that the server answers. */
export class Refusal extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: Record<string, unknown> | null;
  constructor(code: string, status: number, details: Record<string, unknown> | null = null) {
    super(`refused: ${code}`);
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

export type Procedures = Record<string, (input: never, request: IncomingMessage) => unknown>;

export interface FakeServer {
  readonly url: string;
  readonly port: number;
  /** Paths of the tRPC requests, in order; a batch is one. */
  readonly requests: string[];
  /** Answers the next requests itself instead of the procedures, one function a request. */
  readonly next: Array<(request: IncomingMessage, response: ServerResponse, body: string) => void | Promise<void>>;
  onEvents: (request: IncomingMessage, response: ServerResponse) => void;
  close(): Promise<void>;
}

/** Speaks the tRPC protocol (https://trpc.io/docs/rpc) as far as the client uses it. */
export async function startFakeServer(procedures: Procedures, port = 0): Promise<FakeServer> {
  const server = createServer((request, response) => void answer(request, response));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://fake');
    if (url.pathname === '/api/v1/events') return fake.onEvents(request, response);
    const body = await readBody(request);
    const paths = url.pathname.replace('/trpc/', '');
    fake.requests.push(paths);
    const other = fake.next.shift();
    if (other) return void other(request, response, body);
    const input: unknown = JSON.parse((request.method === 'GET' ? url.searchParams.get('input') : body) || '{}');
    if (!url.searchParams.has('batch')) {
      const { status, json } = await call(paths, input, request);
      return sendJson(response, status, json);
    }
    const inputs = input as Record<string, unknown>;
    const answers = await Promise.all(paths.split(',').map((path, index) => call(path, inputs[index], request)));
    sendJson(
      response,
      207,
      answers.map(({ json }) => json),
    );
  }

  async function call(
    path: string,
    input: unknown,
    request: IncomingMessage,
  ): Promise<{ status: number; json: unknown }> {
    try {
      const procedure = procedures[path];
      if (!procedure) throw new Refusal('NOT_FOUND', 404);
      return { status: 200, json: { result: { data: await procedure(input as never, request) } } };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const data = { code: error.code, httpStatus: error.status, details: error.details };
      return { status: error.status, json: { error: { code: -32_000, message: error.message, data } } };
    }
  }

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const fake: FakeServer = {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    requests: [],
    next: [],
    onEvents: (_, response) => void response.writeHead(404).end(),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return fake;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  json: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(json));
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}
