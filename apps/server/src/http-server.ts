import { readFileSync } from 'node:fs';
import http, { type RequestListener, type Server } from 'node:http';
import https from 'node:https';
import type { ServerConfig } from './config/config.ts';

/** A work directory of 4,096 characters, percent-encoded, fits several times. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Longer than clients and load balancers keep idle connections, so that they close first and no request is lost. */
const KEEP_ALIVE_MS = 75_000;

/** HTTP, or HTTPS with a certificate. The timeout is for requests to arrive; answers take the time they take. */
export function createHttpServer(config: ServerConfig, listener: RequestListener): Server {
  const timeoutMs = config.timeout * 1000;
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: timeoutMs,
    headersTimeout: timeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: Math.min(timeoutMs, 5000),
  };
  if (config.tls_cert === undefined || config.tls_key === undefined) return http.createServer(options, listener);
  const cert = readFileSync(config.tls_cert);
  const key = readFileSync(config.tls_key);
  return asHttpServer(https.createServer({ ...options, cert, key }, listener));
}

/** Fastify uses what both kinds of server have. */
function asHttpServer(server: https.Server): Server {
  return server as unknown as Server;
}
