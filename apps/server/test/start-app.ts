import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { openCore, type Core } from '@task-orchestrator/core';
import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import { buildApp } from '../src/app.ts';
import { Config, type ConfigInput } from '../src/config/config.ts';
import { toCoreOptions } from '../src/core-options.ts';
import { createLogger } from '../src/logging.ts';
import { createMetrics } from '../src/metrics.ts';
import type { CreateMcpServer } from '../src/transports/mcp/door.ts';

export const KEY = 'test-key-of-16-characters-or-more';

export interface RunningApp {
  url: string;
  app: FastifyInstance;
  core: Core;
  /** Lines of the log so far. */
  log: string[];
  /** Asks with the admin key; an object as `body` goes as JSON. */
  ask: (method: string, path: string, options?: AskOptions) => Promise<Answer>;
}
export interface AskOptions {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  isAnonymous?: boolean;
}
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // Tests look into answers of every shape.
  json: any; // oxlint-disable-line typescript/no-explicit-any
}

/** The whole service on a free port, over a SQLite file of its own or a core that is given; gone when the test is over. */
export async function startApp(
  options: {
    config?: ConfigInput;
    core?: Core;
    logLevel?: 'debug' | 'info';
    createMcpServer?: CreateMcpServer;
  } = {},
): Promise<RunningApp> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-server-'));
  const config = Config.parse({
    ...options.config,
    database: { url: `sqlite://${folder}/tasks.db`, durability: 'normal', ...options.config?.database },
    security: { admin_key: KEY, rate_limit_requests_per_minute: 0, ...options.config?.security },
  });
  const log: string[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      log.push(String(chunk));
      done();
    },
  });
  const metrics = createMetrics();
  const core = options.core ?? (await openCore(toCoreOptions(config, metrics.observer)));
  const logger = createLogger({ level: options.logLevel ?? 'info', format: 'json' }, destination);
  const { createMcpServer } = options;
  const app = buildApp({ core, config, logger, metrics, ...(createMcpServer && { createMcpServer }) });
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(async () => {
    await app.close();
    await core.close();
    await rm(folder, { recursive: true });
  });
  const url = app.listeningOrigin;
  return { url, app, core, log, ask: (method, path, ask) => askAt(url, method, path, ask) };
}

async function askAt(url: string, method: string, path: string, options: AskOptions = {}): Promise<Answer> {
  const { body, headers = {}, signal, isAnonymous } = options;
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(!isAnonymous && { authorization: `Bearer ${KEY}` }),
      ...(typeof body === 'object' && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
