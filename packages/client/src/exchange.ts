import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { ConnectionError } from './errors.ts';

export interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** An answer whose body has arrived. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly text: string;
}

/** Sends a request and takes in the whole answer. Rejects with what the runtime says, or a `ConnectionError`. */
export type Exchange = (url: string, request: HttpRequest) => Promise<HttpAnswer>;

export function createFetchExchange(fetch: typeof globalThis.fetch): Exchange {
  return async (url, request) => {
    const response = await fetch(url, request);
    const text = await response.text().catch((cause: unknown) => {
      request.signal.throwIfAborted();
      throw brokeOff(cause);
    });
    return { status: response.status, headers: response.headers, text };
  };
}

/**
 * Through `node:http`, where that is to be had: half of the processor time of Node's `fetch`, which also keeps what it has
 * answered alive until the next full garbage collection. Redirects are left to `fetch`.
 */
export function createNodeExchange(follow: Exchange): Exchange | null {
  const modules = loadNodeModules();
  if (modules === null) return null;
  return async (url, request) => {
    const { request: start } = url.startsWith('https:') ? modules.https : modules.http;
    const answer = await exchange(start(url, toOptions(request)), request.body);
    return isRedirect(answer) ? follow(url, request) : answer;
  };
}

interface NodeModules {
  readonly http: typeof import('node:http');
  readonly https: typeof import('node:https');
}

/** Not by `import`, which bundlers for browsers refuse. Bun and Deno have a `fetch` of their own. */
function loadNodeModules(): NodeModules | null {
  const { process, Bun, Deno } = globalThis as { process?: NodeJS.Process; Bun?: unknown; Deno?: unknown };
  if (Bun !== undefined || Deno !== undefined || typeof process?.getBuiltinModule !== 'function') return null;
  const http = process.getBuiltinModule('node:http');
  const https = process.getBuiltinModule('node:https');
  return http && https ? { http, https } : null;
}

function toOptions({ method, headers, signal }: HttpRequest): RequestOptions {
  return { method, headers, signal };
}

function exchange(request: ClientRequest, body: string | undefined): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Uint8Array[] = [];
      response.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      response.on('error', (cause) => reject(brokeOff(cause)));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: headersOf(response), text: decode(chunks) }),
      );
    });
    request.end(body);
  });
}

function headersOf({ headers }: IncomingMessage): HttpAnswer['headers'] {
  return { get: (name) => headers[name]?.toString() ?? null };
}

function decode(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString();
}

function isRedirect({ status, headers }: HttpAnswer): boolean {
  return status >= 300 && status < 400 && headers.get('location') !== null;
}

function brokeOff(cause: unknown): ConnectionError {
  return new ConnectionError('The connection broke in the middle of an answer', { cause });
}
