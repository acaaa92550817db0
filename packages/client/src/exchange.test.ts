import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ConnectionError } from './errors.ts';
import { createFetchExchange, createNodeExchange, type Exchange } from './exchange.ts';

const byFetch = createFetchExchange(fetch);
const byNode = createNodeExchange(byFetch);

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const POST = { method: 'POST', headers: { 'content-type': 'application/json' }, signal: new AbortController().signal };

test('on Node there is a way without fetch', () => {
  expect(byNode).not.toBeNull();
});

describe.each([
  ['fetch', byFetch],
  ['node:http', byNode!],
])('%s', (_name, exchange: Exchange) => {
  test('the body arrives whole, and so does the answer, whatever pieces it came in', async () => {
    const url = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const bytes = Buffer.concat(chunks);
        response.writeHead(201, { 'x-request-id': request.headers['content-length'] });
        // In the middle of a letter.
        response.write(bytes.subarray(0, 4), () => response.end(bytes.subarray(4)));
      });
    });
    const answer = await exchange(`${url}/a`, { ...POST, body: '"größer: 漢字"' });
    expect(answer).toMatchObject({ status: 201, text: '"größer: 漢字"' });
    expect(answer.headers.get('x-request-id')).toBe('18');
    expect(answer.headers.get('retry-after')).toBeNull();
  });

  test('connections are kept', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve(({ socket }, response) => {
      ports.add(socket.remotePort);
      response.end('{}');
    });
    for (let call = 0; call < 3; call++) await exchange(url, { ...POST, body: '{}' });
    expect(ports.size).toBeLessThan(3);
  });

  test('an answer that breaks off is a connection that broke', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{', () => response.destroy());
    });
    const answer = exchange(url, { ...POST, body: '{}' });
    await expect(answer).rejects.toThrow(ConnectionError);
    await expect(answer).rejects.toThrow('in the middle of an answer');
  });

  test('a request that is given up ends', async () => {
    const controller = new AbortController();
    const gone = Promise.withResolvers<void>();
    const url = await serve((_request, response) => {
      response.on('close', gone.resolve);
      controller.abort();
    });
    await expect(exchange(url, { ...POST, body: '{}', signal: controller.signal })).rejects.toThrow('abort');
    await gone.promise;
  });

  test('a redirect that keeps the method is followed with the body', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/old') return response.writeHead(308, { location: '/new' }).end();
      return request.pipe(response);
    });
    await expect(exchange(`${url}/old`, { ...POST, body: '{"a":1}' })).resolves.toMatchObject({
      status: 200,
      text: '{"a":1}',
    });
  });
});
