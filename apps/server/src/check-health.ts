import { request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { loadConfig } from './config/load-config.ts';
import type { Config } from './config/config.ts';
import { explainStartFailure } from './explain-start-failure.ts';

const TIMEOUT_MS = 4000;

/** The container's health check: exits with 0 when the server of this configuration is ready, else with 1 and why. */
try {
  const problem = await askReadiness(loadConfig().config.server);
  if (problem !== undefined) fail(problem);
} catch (error) {
  fail(explainStartFailure(error));
}

function askReadiness({ host, port, tls_cert }: Config['server']): Promise<string | undefined> {
  const options = {
    host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host,
    port,
    path: '/health/ready',
    timeout: TIMEOUT_MS,
    // It asks itself, by an address that its certificate does not name.
    rejectUnauthorized: false,
  };
  return new Promise((resolve) => {
    const request = (tls_cert === undefined ? overHttp : overHttps)(options, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? undefined : `the server answers ${response.statusCode}`);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', ({ message }) => resolve(`the server cannot be asked: ${message}`));
    request.end();
  });
}

function fail(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
