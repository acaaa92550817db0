import { DomainError, type Core } from '@task-orchestrator/core';
import cors, { type FastifyCorsOptions } from '@fastify/cors';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { createAdmission } from './admission.ts';
import { createAuthenticator } from './auth.ts';
import { followCertificate, type CertificateFiles } from './certificate.ts';
import { answerClientError } from './client-error.ts';
import { createConnectionCloser } from './close-connections.ts';
import type { Config } from './config/config.ts';
import { capConnections } from './connection-cap.ts';
import { createHealthCheck } from './health.ts';
import { createHttpServer } from './http-server.ts';
import { createKeyWatch } from './key-watch.ts';
import { createKeyring } from './keyring.ts';
import type { Logger } from './logging.ts';
import { refuseOtherMethods } from './method-not-allowed.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { bindOperations } from './operations.ts';
import { createRateLimiter, type RateLimiter } from './rate-limit.ts';
import { readJsonBody } from './read-json.ts';
import { createRecorders } from './record-request.ts';
import { takeRequestId } from './request-id.ts';
import { registerSystemRoutes } from './system-routes.ts';
import type { CreateMcpServer } from './transports/mcp/door.ts';
import { registerMcpRoutes } from './transports/mcp/routes.ts';
import { registerOpenApiRoutes } from './transports/openapi/routes.ts';
import { createRestRefuser, registerRestRoutes } from './transports/rest/routes.ts';
import { registerTrpcRoutes } from './transports/trpc/routes.ts';
import type { Tracing } from './tracing/tracing.ts';
import { version } from './version.ts';

/** 100 names of operations, comma after comma, in the URL of a tRPC batch. */
const MAX_PARAM_LENGTH = 5000;

/** No route has a schema for Fastify, so its compilers and all that is under them (Ajv) need not be loaded. */
const NO_SCHEMA_COMPILERS = { buildValidator: refuseSchema, buildSerializer: refuseSchema };

function refuseSchema(): never {
  throw new Error('routes have no schemas for Fastify: the contract is checked in validate.ts');
}

/**
 * The HTTP side of the service, not yet listening. Closing it drains the core first; the core stays open.
 * @param metrics whose observer the core was opened with; without it the core's own numbers stay zero.
 * @param tracing whose part for the core the core was opened with.
 * @param createMcpServer in place of the MCP door's own; for the fixtures of its conformance test.
 */
export function buildApp(options: {
  core: Core;
  config: Config;
  logger: Logger;
  metrics?: Metrics;
  tracing?: Tracing | undefined;
  createMcpServer?: CreateMcpServer;
}): FastifyInstance {
  const { core, config, logger, metrics = createMetrics(), tracing } = options;
  const { security, server } = config;
  let isDraining = false;

  const app = fastify({
    serverFactory: (listener) => createHttpServer(server, listener),
    schemaController: { compilersFactory: NO_SCHEMA_COMPILERS },
    bodyLimit: server.body_limit,
    trustProxy: security.trusted_proxies.length > 0 && security.trusted_proxies,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    exposeHeadRoutes: false,
    // Requests on connections that are still open are answered to the last.
    return503OnClosing: false,
    requestIdHeader: false,
    genReqId: takeRequestId,
    clientErrorHandler: answerClientError,
    frameworkErrors(error, request, reply) {
      prepare(request, reply);
      refuse(error, request, reply);
    },
  });

  const connections = createConnectionCloser(app.server);
  capConnections(app.server, server.max_connections, logger);
  if (server.tls_cert !== undefined && server.tls_key !== undefined) {
    serveOverTls(app, { cert: server.tls_cert, key: server.tls_key }, logger);
  }
  metrics.watch(core);
  const recorderOf = createRecorders({ metrics, logger });
  const refuse = createRestRefuser(recorderOf('other', 'none'));
  const authenticator = security.enable_auth
    ? createAuthenticator({ keys: core.keys, adminKey: security.admin_key })
    : undefined;
  const admit = createAdmission({
    authenticator,
    limiter: limiterOf(security.rate_limit_requests_per_minute),
    strangers: limiterOf(security.rate_limit_unauthenticated_per_minute),
  });
  const health = createHealthCheck({
    core,
    version,
    isDraining: () => isDraining,
    countConnections: () => countConnections(app),
  });
  const watch = createKeyWatch({
    keys: core.keys,
    onEnd: (hash) => authenticator?.forget((caller) => caller.hash === hash),
  });
  const keyring = createKeyring({
    keys: core.keys,
    mustKeepAdmin: security.admin_key === undefined,
    onChange(key_id) {
      authenticator?.forget((caller) => caller.key_id === key_id);
      return watch.look();
    },
  });
  const operations = bindOperations({ core, health, keyring, watch });
  const endpoints = tracing ? tracing.traceOperations(operations) : operations;

  const urls = new Set<string>();
  app.addHook('onRoute', ({ url }) => void urls.add(url));
  app.decorateRequest('startedAt', 0);
  app.decorateRequest('caller', null);
  tracing?.traceRequests(app);
  app.addHook('onRequest', (request, reply, done) => {
    prepare(request, reply);
    // Before the body is read: whatever it holds, there is nobody to read it.
    if (request.is404) refuse(new DomainError('NOT_FOUND', 'No such route'), request, reply);
    else done();
  });
  if (security.cors_origins.length > 0) app.register(cors, corsOptions(security.cors_origins));
  readJsonBodiesOnly(app);

  registerRestRoutes(app, { endpoints, admit, recorderOf, eventPosition: () => core.eventPosition() });
  registerTrpcRoutes(app, { endpoints, admit, recorderOf });
  registerMcpRoutes(app, {
    core,
    endpoints,
    admit,
    recorderOf,
    watch,
    allowedHosts: security.allowed_hosts,
    allowedOrigins: security.cors_origins,
    createServer: options.createMcpServer,
  });
  registerOpenApiRoutes(app, { version });
  registerSystemRoutes(app, { health, metrics, admitToMetrics: security.metrics_require_key ? admit : undefined });
  refuseOtherMethods(app, urls, refuse);
  app.setErrorHandler(refuse);

  app.addHook('preClose', (done) => {
    isDraining = true;
    core.drain();
    connections.start();
    done();
  });
  app.addHook('onClose', (_app, done) => {
    metrics.stop();
    done();
  });
  return app;
}

function limiterOf(requestsPerMinute: number): RateLimiter | undefined {
  return requestsPerMinute > 0 ? createRateLimiter({ requestsPerMinute }) : undefined;
}

/** Browsers that were here once come back over TLS alone, whatever a link or a user says. */
const STRICT_TRANSPORT = 'max-age=31536000';

function serveOverTls(app: FastifyInstance, files: CertificateFiles, logger: Logger): void {
  const certificate = followCertificate({ server: app.server, files, logger });
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('strict-transport-security', STRICT_TRANSPORT);
    done();
  });
  app.addHook('onClose', (_app, done) => {
    certificate.stop();
    done();
  });
}

/** What every answer carries, whoever gives it. */
function prepare(request: FastifyRequest, reply: FastifyReply): void {
  request.startedAt = performance.now();
  reply.header('x-request-id', request.id);
  reply.header('cache-control', 'no-store');
  reply.header('x-content-type-options', 'nosniff');
}

/** An empty body needs no content type; any other must be JSON. */
function readJsonBodiesOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body: Buffer, done) =>
    done(null, readJsonBody(body)),
  );
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body: Buffer, done) =>
    body.length === 0
      ? done(null)
      : done(new DomainError('UNSUPPORTED_MEDIA_TYPE', 'The body must have the content type application/json')),
  );
}

function corsOptions(origins: readonly string[]): FastifyCorsOptions {
  return {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: ['x-request-id', 'retry-after', 'ratelimit', 'ratelimit-policy', 'mcp-session-id'],
    maxAge: 600,
    strictPreflight: false,
  };
}

function countConnections(app: FastifyInstance): Promise<number> {
  return new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count ?? 0)));
}
