import { openCore, type Core } from '@task-orchestrator/core';
import type { FastifyInstance } from 'fastify';
import { buildApp } from './app.ts';
import type { Config } from './config/config.ts';
import { parseDatabaseUrl } from './config/database-url.ts';
import { toCoreOptions } from './core-options.ts';
import { createFirstKey, type FirstKey } from './first-key.ts';
import { createLoggers, type Loggers } from './logging.ts';
import { createMetrics } from './metrics.ts';
import type { Tracing } from './tracing/tracing.ts';
import { version } from './version.ts';

export interface RunningServer {
  url: string;
  /** Lets requests under way end, then closes the database. */
  stop(): Promise<void>;
}

/** After this, connections that are still busy are cut. */
const GRACE_MS = 8000;

/** Opens the database, listens, and says where; on the first start also with which key. */
export async function startServer(config: Config): Promise<RunningServer> {
  const tracing = await startTracing(config, (err) =>
    loggers.root.warn({ err }, 'spans cannot be exported; they are dropped'),
  );
  const loggers = createLoggers(config.logging, undefined, tracing && (() => tracing.logFields()));
  // Logs in JSON are read by machines: what is for people goes beside them.
  const screen = config.logging.format === 'json' ? process.stderr : process.stdout;
  const metrics = createMetrics();
  const observer = {
    ...metrics.observer,
    onError: (err: unknown, doing: string) => loggers.background.error({ err, doing }, 'background work failed'),
    onOutage: (problem: string, err: unknown) => loggers.database.error({ err, problem }, 'writes are refused'),
    onRecovery: (seconds: number) => loggers.database.warn({ seconds }, 'writes go through again'),
  };
  const core = await openCore(toCoreOptions(config, observer, tracing?.core));
  try {
    const firstKey = await ensureKey(core, config);
    if (firstKey) screen.write(describeKey(firstKey));
    const app = buildApp({ core, config, logger: loggers.http, metrics, tracing });
    await app.listen({ host: config.server.host, port: config.server.port });
    const url = urlOf(app, config);
    screen.write(describeServer(url));
    loggers.root.info({ url, version }, 'listening');
    return { url, stop: () => stop({ app, core, loggers, tracing }) };
  } catch (error) {
    await core.close();
    throw error;
  }
}

function ensureKey(core: Core, { security, database }: Config): Promise<FirstKey | undefined> {
  if (!security.enable_auth || security.admin_key !== undefined) return Promise.resolve(undefined);
  const target = parseDatabaseUrl(database.url);
  const isFile = target.engine === 'sqlite' && target.path !== ':memory:';
  return createFirstKey({ keys: core.keys, databasePath: isFile ? target.path : undefined });
}

/** OpenTelemetry takes some megabytes and a tenth of a second: only who wants it has it. */
async function startTracing(
  { tracing, database }: Config,
  onFailure: (error: Error) => void,
): Promise<Tracing | undefined> {
  const { endpoint, sample_ratio: sampleRatio, service_name: serviceName } = tracing;
  if (endpoint === undefined) return undefined;
  const { openTracing } = await import('./tracing/open-tracing.ts');
  const databaseName = parseDatabaseUrl(database.url).engine === 'sqlite' ? 'sqlite' : 'postgresql';
  return openTracing({ endpoint, sampleRatio, serviceName, databaseName, onFailure });
}

async function stop(server: {
  app: FastifyInstance;
  core: Core;
  loggers: Loggers;
  tracing: Tracing | undefined;
}): Promise<void> {
  const { app, core, loggers, tracing } = server;
  loggers.root.info('stopping');
  const cut = setTimeout(() => app.server.closeAllConnections(), GRACE_MS);
  await app.close();
  clearTimeout(cut);
  await core.close();
  await tracing?.stop();
  loggers.root.info('stopped');
}

function urlOf(app: FastifyInstance, { server }: Config): string {
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : server.port;
  const isAnyHost = server.host === '0.0.0.0' || server.host === '::';
  const host = isAnyHost ? 'localhost' : server.host.includes(':') ? `[${server.host}]` : server.host;
  return `${server.tls_cert === undefined ? 'http' : 'https'}://${host}:${port}`;
}

function describeServer(url: string): string {
  return `
Task Orchestrator ${version}
  API      ${url}/api/v1
  tRPC     ${url}/trpc
  MCP      ${url}/mcp
  Docs     ${url}/docs
  Metrics  ${url}/metrics

`;
}

function describeKey({ key, file }: FirstKey): string {
  const place = file === undefined ? 'it is shown only now' : `it is shown only now, and kept in ${file}`;
  return `
Admin key (${place}):
  ${key}
`;
}
