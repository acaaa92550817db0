import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AcquiredTask, Task } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../packages/core/test/postgres-server.ts';
import { API_KEY, aTemporaryFolder, runMain, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const WRONG_KEY = 'tok_a-key-that-was-never-valid';
const PASSWORD = 'hunter2-of-the-database';
const ENCRYPTION_KEY = 'the0encryption0key0of0these0tests0AAAAAAAAA=';
const OLD_ENCRYPTION_KEY = 'an0encryption0key0from0before0BBBBBBBBBBBBA=';
const ENCRYPTION = {
  APP_DATABASE_ENCRYPTION_KEY: ENCRYPTION_KEY,
  APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: OLD_ENCRYPTION_KEY,
};
const PROMPT = 'the prompt is nobody else’s business';

/** What a caller may get wrong with a key in it, at every door. */
const SLIPS: readonly (readonly [method: string, path: string, init: RequestInit])[] = [
  ['GET', '/api/v1/statistics', { headers: { authorization: `Bearer ${WRONG_KEY}` } }],
  ['GET', '/api/v1/statistics', { headers: { 'x-api-key': WRONG_KEY } }],
  ['GET', '/api/v1/statistics', { headers: { authorization: `Basic ${WRONG_KEY}` } }],
  ['GET', `/api/v1/statistics?api_key=${WRONG_KEY}`, {}],
  ['GET', `/api/v1/tasks?api_key=${API_KEY}`, { headers: { 'x-api-key': API_KEY } }],
  ['GET', `/nowhere?api_key=${API_KEY}`, {}],
  ['GET', `/api/v1/%zz?api_key=${API_KEY}`, {}],
  ['DELETE', '/api/v1/tasks', { headers: { 'x-api-key': API_KEY } }],
  ['GET', '/api/v1/statistics', { headers: { 'x-api-key': API_KEY, cookie: `key=${API_KEY}` } }],
  ['POST', '/api/v1/tasks', withBody(`{"api_key": "${API_KEY}", "prompt": `)],
  ['POST', '/api/v1/tasks', withBody(JSON.stringify({ api_key: API_KEY, prompt: PROMPT, priority: WRONG_KEY }))],
  ['POST', '/trpc/tasks.create', withBody(JSON.stringify({ api_key: API_KEY, prompt: PROMPT, priority: WRONG_KEY }))],
  [
    'GET',
    `/trpc/stats.get?input=${encodeURIComponent(`{"api_key":"${API_KEY}`)}`,
    { headers: { 'x-api-key': API_KEY } },
  ],
  ['POST', '/mcp', withBody(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${WRONG_KEY}"`)],
  [
    'POST',
    '/mcp',
    withBody(
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'complete_task', arguments: { lease_token: API_KEY, task_id: WRONG_KEY } },
      }),
    ),
  ],
];

test('no key, token or prompt is in a line of the log, in the metrics, or in an error that another caller could see', async () => {
  const server = await ServerProcess.start({ APP_LOGGING_LEVEL: 'trace', ...ENCRYPTION });
  const answers = await slipUp(server);
  const { body } = await server.request<Task>('POST', '/api/v1/tasks', { work_directory: '/secret', prompt: PROMPT });
  const next = await server.request<AcquiredTask>('GET', '/api/v1/tasks/next?work_path=/secret&worker_id=w');
  const { lease_token } = next.body.data;
  const path = `/api/v1/tasks/${body.data.task_id}`;
  const result = { output: PROMPT };
  await server.request('POST', `${path}/heartbeat`, { lease_token: `${lease_token.slice(0, -1)}0` });
  await server.request('POST', `${path}/complete`, { lease_token, result, surprise: true });
  await server.request('POST', `${path}/complete`, { lease_token, result });
  await server.request('POST', `${path}/complete`, { lease_token: crypto.randomUUID(), result });

  const seen = [server.output, await server.text('/metrics'), await server.text('/health'), ...answers].join('\n');
  expect(server.output).toContain('"msg":"request refused"');
  for (const secret of [API_KEY, WRONG_KEY, lease_token, PROMPT, ENCRYPTION_KEY, OLD_ENCRYPTION_KEY])
    expect(seen).not.toContain(secret);
});

test('the password of the database is in no line of the log and in no error, also while the database is away', async () => {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  const url = (await postgres.createDatabase()).replace('postgres@', `postgres:${PASSWORD}@`);
  const server = await ServerProcess.start({ APP_DATABASE_URL: url, APP_LOGGING_LEVEL: 'trace' });
  const seen: string[] = [];
  await postgres.crashAndRestart(async () => {
    await until('an outage', async () => (await server.text('/health')).includes('unhealthy'));
    seen.push(...(await slipUp(server)), await server.text('/health'), await server.text('/metrics'));
    seen.push(JSON.stringify(await server.request('POST', '/api/v1/tasks', { work_directory: '/a', prompt: 'x' })));
  });
  const { output, errors } = await server.stop();
  expect([server.output, ...seen].join('\n')).toContain('UNAVAILABLE');
  expect([server.output, output, errors, ...seen].join('\n')).not.toContain(PASSWORD);
});

test('what keeps the server from starting, and what --print-config shows, holds no secret', async () => {
  const folder = await aTemporaryFolder();
  const unreachable = `postgres://torc:${PASSWORD}@127.0.0.1:1/none`;
  const tries: readonly (readonly [args: string[], env: Record<string, string>, exitCode: number])[] = [
    [['--print-config'], { APP_DATABASE_URL: unreachable, ...ENCRYPTION }, 0],
    [['--print-config'], { APP_DATABASE_ENCRYPTION_KEY: PASSWORD }, 1],
    [[], { APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: OLD_ENCRYPTION_KEY }, 1],
    [['--reencrypt'], { APP_DATABASE_URL: unreachable, APP_DATABASE_CONNECTION_TIMEOUT: '1', ...ENCRYPTION }, 1],
    [[], { APP_DATABASE_URL: unreachable, APP_DATABASE_CONNECTION_TIMEOUT: '1' }, 1],
    [[], { APP_DATABASE_URL: `postgre://torc:${PASSWORD}@db/none` }, 1],
    [[], { APP_SECURITY_ADMIN_KEYS: PASSWORD }, 1],
    [[], { APP_SECURITY_ADMIN_KEY: PASSWORD.slice(0, 7) }, 1],
    [['--config', folder], {}, 1],
    [['--copy', '--from', unreachable, '--to', `mysql://torc:${PASSWORD}@db/none`], {}, 1],
    [['backup', join(folder, 'b.db')], { APP_DATABASE_URL: unreachable }, 1],
    [['restore', join(folder, 'b.db')], { APP_DATABASE_URL: unreachable }, 1],
  ];
  await writeFile(join(folder, 'default.toml'), `[security]\nadmin_key = "${PASSWORD}" oops\n`);
  for (const [args, env, exitCode] of tries) {
    const ending = await runMain(args, env);
    expect(ending).toMatchObject({ exitCode });
    expect(ending.output + ending.errors, args.join(' ')).not.toMatch(
      new RegExp(`${API_KEY}|hunter2|0encryption0key0`),
    );
  }
});

test('the key of a certificate that does not fit is named by its file alone', async () => {
  const folder = await aTemporaryFolder();
  const tls = join(import.meta.dirname, '../apps/server/test/tls');
  const key = join(folder, 'key.pem');
  const text = (await readFile(join(tls, 'renewed-key.pem'), 'utf8')).trim();
  await writeFile(key, text);
  const { exitCode, output, errors } = await runMain([], {
    APP_SERVER_TLS_CERT: join(tls, 'cert.pem'),
    APP_SERVER_TLS_KEY: key,
  });
  expect([exitCode, output]).toEqual([1, '']);
  expect(errors).toContain(`server.tls_key ${key} are no certificate with its private key`);
  for (const line of text.split('\n').slice(1, -1)) expect(errors).not.toContain(line);
});

function withBody(body: string): RequestInit {
  const headers = {
    'x-api-key': API_KEY,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  return { headers, body };
}

async function slipUp(server: ServerProcess): Promise<string[]> {
  return Promise.all(
    SLIPS.map(async ([method, path, init]) => {
      const response = await fetch(server.url + path, { method, ...init });
      return `${JSON.stringify([...response.headers])} ${await response.text()}`;
    }),
  );
}
