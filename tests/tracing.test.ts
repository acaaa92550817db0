import { join } from 'node:path';
import { trace } from '@opentelemetry/api';
import { Worker } from '@task-orchestrator/client';
import { tracing } from '@task-orchestrator/client/opentelemetry';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startPostgres, type PostgresServer } from '../packages/core/test/postgres-server.ts';
import { wantedEngines } from '../packages/core/test/wanted-engines.ts';
import { OtlpReceiver, type ReceivedSpan } from './support/otlp-receiver.ts';

import { ROOT } from './support/processes.ts';
import { API_KEY, ServerProcess } from './support/server-process.ts';
import { traceThisProcess } from './support/traced-program.ts';
import { until } from './support/until.ts';

const PROMPT = 'the prompt that nobody may see';
const PATH = '/srv/confidential-project';
const ENGINES = { sqlite: 'sqlite', postgresql: 'PostgreSQL' } as const;
const wanted = Object.entries(ENGINES).filter(([name]) =>
  wantedEngines().some((engine) => engine.toLowerCase().startsWith(name)),
);

describe.each(wanted)('%s', (databaseName) => {
  const database = async (): Promise<Record<string, string>> =>
    databaseName === 'sqlite' ? {} : { APP_DATABASE_URL: await (await startOwnPostgres()).createDatabase() };

  test('one trace leads from the producer over request, operation, commit and statement to the work of the worker', async () => {
    const receiver = await OtlpReceiver.start();
    const server = await startTraced(receiver.url, await database());
    const program = traceThisProcess(receiver.url);
    const client = server.client({ tracing });
    const worker = new Worker({ client, tracing, workPath: PATH, handler: () => trace.getActiveSpan()?.spanContext() });
    const life = worker.run();
    // Then the commit that brings the task hands it out as well.
    await vi.waitFor(async () => expect(await readMetrics(server)).toContain('acquire_waiters 1'), { timeout: 5000 });

    const { task_id, traceId } = await trace.getTracer('test').startActiveSpan('produce', async (span) => {
      const created = await client.tasks.create({ work_directory: PATH, prompt: PROMPT });
      span.end();
      return { ...created, traceId: span.spanContext().traceId };
    });
    const { finished } = await client.tasks.waitFor([task_id], { timeoutSeconds: 10 });
    await worker.stop();
    await life;
    await Promise.all([program.flush(), server.stop()]);

    const ofTrace = receiver.spans.filter((span) => span.traceId === traceId);
    const produce = only(ofTrace, 'produce');
    const request = childOf(produce, ofTrace, 'POST /trpc/:path');
    const operation = childOf(request, ofTrace, 'tasks.create');
    const commit = childOf(operation, ofTrace, 'commit');
    const work = childOf(produce, ofTrace, 'process task');
    expect(request).toMatchObject({ service: 'task-orchestrator', kind: 2 });
    expect(request.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/trpc/:path',
      'http.response.status_code': 200,
      'url.path': '/trpc/tasks.create',
    });
    expect(operation.attributes).toMatchObject({ 'messaging.operation.type': 'send' });
    expect(commit.attributes).toEqual({ 'task_orchestrator.commit.batch_size': 2 });
    const statements = ofTrace.filter(({ parentSpanId }) => parentSpanId === commit.spanId);
    expect(statements.map(({ name }) => name)).toEqual(expect.arrayContaining(['BEGIN', 'INSERT', 'COMMIT']));
    for (const { attributes, kind } of statements) {
      expect({ kind, name: attributes['db.system.name'] }).toEqual({ kind: 3, name: databaseName });
    }
    expect(work).toMatchObject({ service: 'user-program', kind: 5 });
    expect(work.attributes).toMatchObject({ 'messaging.message.id': task_id, 'messaging.operation.type': 'process' });
    expect(finished[0]?.result?.output).toMatchObject({ traceId, spanId: work.spanId });

    // The hand-out is in the trace of the worker's poll, and says whose task it was.
    const handOut = receiver.spans.find(({ name, links }) => name === 'tasks.acquire' && links.length > 0);
    expect(handOut?.links).toContainEqual({ traceId, spanId: produce.spanId });
    expectSoundTimes(receiver.spans);
    expectNoSecrets(receiver);
  });

  test('a commit that serves several requests is linked with each of them, and says how many they are', async () => {
    const receiver = await OtlpReceiver.start();
    const server = await startTraced(receiver.url, await database());
    const traceIds = Array.from({ length: 20 }, (_, index) => (index + 1).toString(16).padStart(32, '0'));
    const create = (traceId: string) =>
      fetch(`${server.url}/api/v1/tasks`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${API_KEY}`,
          'content-type': 'application/json',
          traceparent: `00-${traceId}-00000000000000aa-01`,
        },
        body: JSON.stringify({ work_directory: PATH, prompt: PROMPT }),
      });
    await Promise.all(traceIds.map(create));
    await server.stop();

    const named = (name: string) => receiver.spans.filter((span) => span.name === name);
    const operations = named('tasks.create');
    const commits = named('commit');
    expect(operations.map(({ traceId }) => traceId).toSorted()).toEqual(traceIds);
    expect(sum(commits.map(({ attributes }) => Number(attributes['task_orchestrator.commit.batch_size'])))).toBe(20);
    for (const operation of operations) {
      const ownCommits = commits.filter(
        (commit) =>
          commit.parentSpanId === operation.spanId || commit.links.some(({ spanId }) => spanId === operation.spanId),
      );
      expect(ownCommits).toHaveLength(1);
      const [commit] = ownCommits;
      if (commit?.parentSpanId !== operation.spanId) {
        expect(operation.links).toContainEqual({ traceId: commit?.traceId, spanId: commit?.spanId });
      }
    }
    expectNoSecrets(receiver);
  });
});

test('a trace that is named inside an MCP message goes on in the operation and with the task', async () => {
  const receiver = await OtlpReceiver.start();
  const server = await startTraced(receiver.url);
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const call = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'create_tasks',
      arguments: { tasks: [{ work_directory: PATH, prompt: PROMPT }] },
      _meta: { traceparent },
    },
  };
  await fetch(`${server.url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${API_KEY}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(call),
  }).then((response) => response.text());
  const { tasks } = await server.client().tasks.list();
  await server.stop();

  expect(tasks[0]?.metadata).toEqual({ traceparent });
  const operation = only(receiver.spans, 'tasks.createMany');
  const request = only(receiver.spans, 'POST /mcp');
  expect(operation).toMatchObject({ traceId: 'a'.repeat(32), parentSpanId: 'b'.repeat(16) });
  expect(operation.links).toEqual([{ traceId: request.traceId, spanId: request.spanId }]);
});

test('a task of a producer that traces nothing carries the trace of the server', async () => {
  const receiver = await OtlpReceiver.start();
  const server = await startTraced(receiver.url);
  const { metadata } = await server.client().tasks.create({ work_directory: PATH, prompt: PROMPT });
  await server.stop();
  const { traceId, spanId } = only(receiver.spans, 'tasks.create');
  expect(metadata).toEqual({ traceparent: `00-${traceId}-${spanId}-01` });
});

test('what a caller does not record, and what is not sampled, is not recorded', async () => {
  const receiver = await OtlpReceiver.start();
  const server = await startTraced(receiver.url, { APP_TRACING_SAMPLE_RATIO: '0' });
  const create = (flags: string) =>
    server.client({ headers: { traceparent: `00-${'c'.repeat(32)}-${'d'.repeat(16)}-${flags}` } }).tasks.create({
      work_directory: PATH,
      prompt: PROMPT,
    });
  await server.client().tasks.create({ work_directory: PATH, prompt: PROMPT });
  await create('00');
  await create('01');
  await server.stop();
  expect(receiver.spans.length).toBeGreaterThan(0);
  expect(new Set(receiver.spans.map(({ traceId }) => traceId))).toEqual(new Set(['c'.repeat(32)]));
});

test('a producer’s trace goes with its task also when the server traces nothing', async () => {
  const server = await ServerProcess.start();
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
  const { metadata } = await server
    .client({ headers: { traceparent } })
    .tasks.create({ work_directory: PATH, prompt: PROMPT, metadata: { ticket: 7 } });
  expect(metadata).toEqual({ traceparent, ticket: 7 });
  const { metadata: none } = await server
    .client({ headers: { traceparent: 'nonsense' } })
    .tasks.create({ work_directory: PATH, prompt: PROMPT });
  expect(none).toEqual({});
});

test('lines of the log name the trace of their request', async () => {
  const receiver = await OtlpReceiver.start();
  const server = await startTraced(receiver.url, { APP_LOGGING_LEVEL: 'info', APP_LOGGING_FORMAT: 'json' });
  const traceId = 'e'.repeat(32);
  const headers = { traceparent: `00-${traceId}-${'f'.repeat(16)}-01` };
  await fetch(`${server.url}/api/v1/tasks`, { method: 'POST', headers });
  await fetch(`${server.url}/api/v1/tasks`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    body: '{"half',
  });
  await server.stop();
  const lines = server.output.split('\n').filter((line) => line.includes('request refused'));
  expect(lines.map((line) => (JSON.parse(line) as { trace_id?: string }).trace_id)).toEqual([traceId, traceId]);
});

test.each(['dead', 'hanging'])(
  'a collector that is %s neither slows requests down nor keeps the server from ending',
  async (state) => {
    const receiver = await OtlpReceiver.start();
    const { url } = receiver;
    if (state === 'dead') await receiver.close();
    else receiver.isHanging = true;
    const server = await startTraced(url, {
      APP_LOGGING_LEVEL: 'warn',
      APP_LOGGING_FORMAT: 'json',
    });
    const client = server.client();
    for (let count = 0; count < 300; count++) {
      await client.tasks.create({ work_directory: PATH, prompt: PROMPT });
    }
    const p99 = await slowest(server);
    const { exitCode, seconds } = await server.stop();
    expect(exitCode).toBe(0);
    expect(seconds).toBeLessThan(3);
    expect(p99).toBeLessThan(1);
    const complaints = server.output.match(/spans cannot be exported/g) ?? [];
    expect(complaints.length).toBeLessThanOrEqual(1);
  },
);

test('a dead collector is told of once in the log, without what was sent to it', async () => {
  const receiver = await OtlpReceiver.start();
  const { url } = receiver;
  await receiver.close();
  const server = await startTraced(url, {
    APP_LOGGING_LEVEL: 'warn',
    APP_LOGGING_FORMAT: 'json',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-secret=very-secret-value',
  });
  const client = server.client();
  // More than one batch, so that one goes out at once.
  await Promise.all(Array.from({ length: 200 }, () => client.tasks.create({ work_directory: PATH, prompt: PROMPT })));
  await until('the complaint', () => server.output.includes('spans cannot be exported'), { withinMs: 15_000 });
  await server.stop();
  expect(server.output).not.toContain('very-secret-value');
  expect(server.output).not.toContain(PROMPT);
});

test('without an endpoint no module of tracing is loaded', async () => {
  const receiver = await OtlpReceiver.start();
  await expect(loadedModules({})).resolves.toEqual([]);
  const loaded = await loadedModules({ APP_TRACING_ENDPOINT: receiver.url });
  expect(loaded).toContainEqual(expect.stringContaining('exporter-trace-otlp-proto'));
  expect(loaded).toContainEqual(expect.stringContaining('src/tracing/open-tracing.ts'));
});

function startTraced(endpoint: string, env: Record<string, string> = {}): Promise<ServerProcess> {
  return ServerProcess.start({ APP_TRACING_ENDPOINT: endpoint, ...env });
}

async function startOwnPostgres(): Promise<PostgresServer> {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  return postgres;
}

/** Modules of tracing that a server has loaded once it listens and has answered. */
async function loadedModules(env: Record<string, string>): Promise<string[]> {
  const server = await ServerProcess.start({
    ...env,
    NODE_OPTIONS: `--import=${join(ROOT, 'tests/support/print-tracing-modules.ts')}`,
  });
  await server.client().tasks.create({ work_directory: PATH, prompt: PROMPT });
  const { output } = server;
  return [...output.matchAll(/^loaded (.*)$/gm)].map(([, url]) => url ?? '');
}

/** The upper bound of the bucket that the slowest create fell into, in seconds. */
async function slowest(server: ServerProcess): Promise<number> {
  const metrics = await server.text('/metrics');
  const buckets = [...metrics.matchAll(/^response_time_seconds_bucket\{.*route="tasks.create".*le="(.+)"\} (\d+)$/gm)];
  const total = Number(buckets.at(-1)?.[2]);
  return Number(buckets.find(([, , count]) => Number(count) >= total * 0.99)?.[1]);
}

async function readMetrics(server: { url: string }): Promise<string> {
  const answer = await fetch(`${server.url}/metrics`);
  return answer.text();
}

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const named = spans.filter((span) => span.name === name);
  expect(named, name).toHaveLength(1);
  return named[0]!;
}

function childOf(parent: ReceivedSpan, spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  return only(
    spans.filter(({ parentSpanId }) => parentSpanId === parent.spanId),
    name,
  );
}

function expectSoundTimes(spans: readonly ReceivedSpan[]): void {
  for (const { name, startedAt, endedAt } of spans) expect(endedAt >= startedAt, name).toBe(true);
}

function expectNoSecrets({ payloads }: OtlpReceiver): void {
  const all = Buffer.concat(payloads).toString('latin1');
  for (const secret of [PROMPT, PATH, API_KEY]) expect(all).not.toContain(secret);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
