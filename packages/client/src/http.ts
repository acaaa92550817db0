import { codeOfStatus, ConnectionError, toError } from './errors.ts';
import type { Exchange, HttpAnswer, HttpRequest } from './exchange.ts';
import type { ErrorBody } from './wire.ts';

export interface HttpOptions {
  /** Where the servers are; the first one that works is used until it fails. */
  readonly bases: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** For answers that arrive bit by bit. */
  readonly fetch: typeof fetch;
  /** For all others. */
  readonly exchange: Exchange;
  /** Of the trace that is going on; undefined when there is none. */
  readonly traceparent: () => string | undefined;
}

/** What a call has got. */
export interface CallAnswer extends HttpAnswer {
  /** Of the protocol of tRPC. */
  readonly body: unknown;
}

type Send<Answer> = (url: string, request: HttpRequest) => Promise<Answer>;

/** HTTP to one of several servers: moves on to the next one after a network error or an outage. */
export class Http {
  readonly #options: HttpOptions;
  #current = 0;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** @throws `ConnectionError` when no answer arrived; the signal's reason when it aborted. */
  open(path: string, request: HttpRequest): Promise<Response> {
    return this.#send(this.#options.fetch, path, request);
  }

  /** @throws what `open` does, and the error of an answer that is in the envelope of the service or in no known form. */
  async ask(path: string, request: HttpRequest): Promise<CallAnswer> {
    const answer = await this.#send(this.#options.exchange, path, request);
    const body = parseJson(answer.text);
    if (!isTrpc(body)) throw refusal(answer, body);
    return { ...answer, body };
  }

  async #send<Answer extends { status: number }>(
    send: Send<Answer>,
    path: string,
    request: HttpRequest,
  ): Promise<Answer> {
    const { bases, traceparent } = this.#options;
    const at = this.#current;
    const trace = traceparent();
    const headers = {
      ...this.#options.headers,
      ...request.headers,
      ...(trace !== undefined && { traceparent: trace }),
    };
    try {
      const answer = await send(`${bases[at]}${path}`, { ...request, headers });
      if (codeOfStatus(answer.status) === 'UNAVAILABLE') this.#moveOnFrom(at);
      return answer;
    } catch (cause) {
      request.signal.throwIfAborted();
      if (cause instanceof ConnectionError) throw cause;
      this.#moveOnFrom(at);
      throw toConnectionError(`${request.method} ${bases[at]}${path.replace(/\?.*/, '')}`, cause);
    }
  }

  #moveOnFrom(base: number): void {
    // Of many calls that fail at once, only the first moves on.
    if (this.#current === base) this.#current = (base + 1) % this.#options.bases.length;
  }
}

/** What the headers of an answer add to its error. */
export function factsOf({ status, headers }: Pick<HttpAnswer, 'status' | 'headers'>) {
  const requestId = headers.get('x-request-id');
  return {
    status,
    retryAfterSeconds: parseRetryAfter(headers.get('retry-after')),
    ...(requestId !== null && { requestId }),
  };
}

/** The error of an answer outside the protocol: in the envelope of the service, or from something before it. */
export function refusal(response: Pick<HttpAnswer, 'status' | 'headers'>, body: unknown): Error {
  if (isEnvelope(body)) return toError(body.error, factsOf(response));
  const message = `The server answered ${response.status} in a form that is not the service's; is the URL right?`;
  return toError({ code: codeOfStatus(response.status), message, details: null }, factsOf(response));
}

/** Of a batch, an array. https://trpc.io/docs/rpc */
function isTrpc(body: unknown): boolean {
  if (Array.isArray(body)) return body.every(isTrpc);
  return (
    isObject(body) &&
    (isObject(body['result']) || (isObject(body['error']) && typeof body['error']['code'] === 'number'))
  );
}

function isEnvelope(body: unknown): body is { error: ErrorBody } {
  const error = isObject(body) ? body['error'] : undefined;
  return isObject(error) && typeof error['code'] === 'string' && typeof error['message'] === 'string';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Seconds, from either form of the header (RFC 9110, section 10.2.3). */
function parseRetryAfter(value: string | null): number | null {
  if (value === null) return null;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}

/** What Node and Bun say when a connection never came about. */
const NEVER_CONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'ConnectionRefused',
  'FailedToOpenSocket',
]);

function toConnectionError(what: string, cause: unknown): ConnectionError {
  const root = rootOf(cause);
  const code = isObject(root) && typeof root['code'] === 'string' ? root['code'] : '';
  const reason = root instanceof Error && root.message ? root.message : code || String(root);
  // Deno gives no code.
  const neverConnected = NEVER_CONNECTED.has(code) || /connection refused/i.test(reason);
  return new ConnectionError(`${what}: ${reason}`, { mayHaveArrived: !neverConnected, cause });
}

/** Node hides the reason under `fetch failed`, and one reason per address under that. */
function rootOf(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0]);
  return error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;
}
