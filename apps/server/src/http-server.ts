import type { OutgoingMessage, RequestListener, Server } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { readCertificate } from './certificate.ts';
import type { ServerConfig } from './config/config.ts';
import { http } from './node-http.ts';

/** A work directory of 4,096 characters, percent-encoded, fits several times. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Longer than clients and load balancers keep idle connections, so that they close first and no request is lost. */
const KEEP_ALIVE_MS = 75_000;

/** HTTP, or HTTPS with a certificate. The timeout is for what clients do; answers take the time they take. */
export function createHttpServer(config: ServerConfig, listener: RequestListener): Server {
  const timeoutMs = config.timeout * 1000;
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: timeoutMs,
    headersTimeout: timeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(timeoutMs, 5000),
  };
  const { tls_cert: cert, tls_key: key } = config;
  const server =
    cert === undefined || key === undefined
      ? http.createServer(options, listener)
      : asHttpServer(
          https.createServer({ ...options, ...readCertificate({ cert, key }), handshakeTimeout: timeoutMs }, listener),
        );
  server.timeout = timeoutMs;
  server.on('timeout', closeIfStalled);
  return server;
}

/**
 * Of a connection on which nothing has moved for a while. One that waits for us stays: a long poll, a quiet stream. One on
 * which nothing is asked, or whose client does not take its answer, is closed.
 */
function closeIfStalled(socket: Socket): void {
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: OutgoingMessage | null };
  const isTaken = socket.writableLength === 0 && (answer?.writableLength ?? 0) === 0;
  if (!answer || !isTaken) socket.destroy();
}

/** Fastify uses what both kinds of server have. */
function asHttpServer(server: https.Server): Server {
  return server as unknown as Server;
}
