import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { readMessages } from './read-messages.ts';

/** A message of JSON-RPC, of which only what routes it is looked at. */
interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: {
    readonly name?: unknown;
    readonly uri?: unknown;
    readonly taskId?: unknown;
    readonly requestId?: unknown;
    readonly _meta?: Readonly<Record<string, unknown>>;
  };
  readonly result?: { readonly protocolVersion?: unknown };
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
const UNREACHABLE = -32_000;
const PARSE_ERROR = -32_700;

/**
 * Carries messages between an agent's pipes and the HTTP endpoint of a running server, in whichever era the agent speaks.
 * It knows no tools: what the server can do, the agent can do.
 */
export async function bridge(options: {
  url: string;
  apiKey: string | undefined;
  input?: Readable;
  output?: Writable;
}): Promise<void> {
  const { apiKey, input = process.stdin, output = process.stdout } = options;
  const endpoint = new URL('/mcp', options.url);
  const calls = new Map<unknown, AbortController>();
  const underWay = new Set<Promise<void>>();
  /** What a legacy client has agreed on; a modern one says it with each message. */
  let agreedVersion: string | undefined;

  const write = (message: unknown): void => void output.write(`${JSON.stringify(message)}\n`);

  async function carry(message: Message): Promise<void> {
    const call = new AbortController();
    if (message.id !== undefined) calls.set(message.id, call);
    try {
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: headersOf(message, { apiKey, agreedVersion }),
        body: JSON.stringify(message),
        signal: call.signal,
      });
      let isAnswered = false;
      for await (const answer of readMessages(response)) {
        const { id, result } = answer as Message;
        if (message.method === 'initialize' && typeof result?.protocolVersion === 'string') {
          agreedVersion = result.protocolVersion;
        }
        isAnswered ||= id === message.id;
        write(id === null && message.id !== undefined ? describeRefusal(message, answer as Message) : answer);
        isAnswered ||= id === null;
      }
      if (!isAnswered && !call.signal.aborted) throw new Error(`it answered with status ${response.status}`);
    } catch (error) {
      // A call that was taken back gets no answer.
      if (message.id !== undefined && !call.signal.aborted) write(describeOutage(message, endpoint, error));
    } finally {
      calls.delete(message.id);
    }
  }

  for await (const line of createInterface({ input })) {
    if (line.trim() === '') continue;
    const message = parse(line);
    if (message === undefined) {
      write({ jsonrpc: '2.0', id: null, error: { code: PARSE_ERROR, message: 'Parse error' } });
    } else if (message.method === 'notifications/cancelled') {
      // To close the stream of a call is how it is taken back over HTTP.
      calls.get(message.params?.requestId)?.abort();
    } else {
      const carried = carry(message);
      underWay.add(carried);
      void carried.finally(() => underWay.delete(carried));
      // What comes after the handshake has to say what was agreed on.
      if (message.method === 'initialize') await carried;
    }
  }
  for (const call of calls.values()) call.abort();
  await Promise.all(underWay);
}

function parse(line: string): Message | undefined {
  try {
    return JSON.parse(line) as Message;
  } catch {
    return undefined;
  }
}

/** https://modelcontextprotocol.io/specification/2026-07-28/basic/transports: the headers that proxies route by. */
function headersOf(
  { method, params }: Message,
  { apiKey, agreedVersion }: { apiKey: string | undefined; agreedVersion: string | undefined },
): Record<string, string> {
  const claimed = params?._meta?.[VERSION_KEY];
  const version = typeof claimed === 'string' ? claimed : agreedVersion;
  const name = params?.name ?? params?.uri ?? params?.taskId;
  return {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    ...(version !== undefined && { 'mcp-protocol-version': version }),
    ...(typeof claimed === 'string' && method !== undefined && { 'mcp-method': method }),
    ...(typeof claimed === 'string' && typeof name === 'string' && { 'mcp-name': toHeader(name) }),
  };
}

/** Text that no header can carry goes in Base64, marked as such. */
function toHeader(text: string): string {
  const isPlain = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/.test(text);
  return isPlain ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;
}

/** What the server refused before it read the message, put where the agent looks for it. */
function describeRefusal(message: Message, { error }: Message): object {
  const { code, ...data } = (error?.data ?? {}) as { code?: string; retry_after_seconds?: number };
  if (error === undefined || code === undefined) return { jsonrpc: '2.0', id: message.id, error };
  const seconds = data.retry_after_seconds;
  return answerFor(message, {
    code,
    message: error.message,
    retryable: seconds !== undefined,
    ...(seconds !== undefined && { retry_after_seconds: seconds }),
  });
}

function describeOutage(message: Message, endpoint: URL, error: unknown): object {
  const { cause } = error as { cause?: unknown };
  const why = cause instanceof Error ? cause.message : error instanceof Error ? error.message : String(error);
  const text = `The server at ${endpoint.origin} gave no answer: ${why}`;
  return answerFor(message, { code: 'UNAVAILABLE', message: text, retryable: true, retry_after_seconds: 5 });
}

interface Refused {
  code: string;
  message: string;
  retryable: boolean;
  retry_after_seconds?: number;
}

/** A model reads the results of its tools, and seldom an error of the protocol. */
function answerFor(message: Message, error: Refused): object {
  const { jsonrpc, id } = { jsonrpc: '2.0', id: message.id };
  if (message.method !== 'tools/call') {
    return { jsonrpc, id, error: { code: UNREACHABLE, message: error.message, data: error } };
  }
  const next =
    error.retry_after_seconds === undefined
      ? 'Tell the user; this call cannot succeed.'
      : `Wait ${error.retry_after_seconds} s, then call the tool again with the same arguments.`;
  const answer = { error, next };
  const isModern = message.params?._meta?.[VERSION_KEY] !== undefined;
  const result = {
    content: [{ type: 'text', text: JSON.stringify(answer) }],
    structuredContent: answer,
    isError: true,
  };
  return { jsonrpc, id, result: isModern ? { resultType: 'complete', ...result } : result };
}
