import { Client as ModernClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldStdioTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as OldHttpTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { KEY } from '../start-app.ts';

const ROOT = join(import.meta.dirname, '../../../..');

/** What a tool said, whatever client asked it. */
export interface ToolAnswer {
  isError: boolean;
  text: string;
  // Tests look into answers of every shape.
  value: any; // oxlint-disable-line typescript/no-explicit-any
}
export interface CallOptions {
  signal?: AbortSignal;
  onProgress?: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => void;
}

/** An agent's connection, the same over each era and transport. */
export interface Agent {
  readonly kind: string;
  readonly instructions: string | undefined;
  listTools(): Promise<{ name: string }[]>;
  call(name: string, args?: object, options?: CallOptions): Promise<ToolAnswer>;
  read(uri: string): Promise<string>;
  prompt(name: string, args: Record<string, string>): Promise<string>;
  close(): Promise<void>;
}

/** Where to connect: a running server, or the command line that an agent's settings would name. */
export type Place = { url: string; key?: string } | { command: readonly string[]; env?: Record<string, string> };

export type Kind = 'v1 SDK' | 'v2 legacy' | 'v2 auto' | 'raw modern';
export const HTTP_KINDS: readonly Kind[] = ['v1 SDK', 'v2 legacy', 'v2 auto', 'raw modern'];
export const STDIO_KINDS: readonly Kind[] = ['v1 SDK', 'v2 legacy', 'v2 auto'];

/** Connects an agent; the end of the test closes it. */
export async function connectAgent(kind: Kind, place: Place): Promise<Agent> {
  const agent = await connect(kind, place);
  onTestFinished(() => agent.close());
  return agent;
}

/** `node src/main.ts mcp …`, as a process of its own. */
export function mcpCommand(args: readonly string[]): readonly string[] {
  const node = join(ROOT, 'node_modules/node/bin/node');
  return [node, '--conditions=to-source', join(ROOT, 'apps/server/src/main.ts'), 'mcp', ...args];
}

function connect(kind: Kind, place: Place): Promise<Agent> {
  switch (kind) {
    case 'v1 SDK':
      return connectOld(place);
    case 'v2 legacy':
      return connectModern(kind, 'legacy', place);
    case 'v2 auto':
      return connectModern(kind, 'auto', place);
    case 'raw modern':
      return connectRaw(place);
  }
}

const INFO = { name: 'test-agent', version: '1.0.0' };
const headersFor = (key: string = KEY) => ({ authorization: `Bearer ${key}` });

async function connectOld(place: Place): Promise<Agent> {
  const client = new OldClient(INFO);
  const transport =
    'url' in place
      ? new OldHttpTransport(new URL('/mcp', place.url), { requestInit: { headers: headersFor(place.key) } })
      : new OldStdioTransport(toProcess(place));
  // The transport's optional fields are typed for looser compilers than ours.
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return {
    kind: 'v1 SDK',
    instructions: client.getInstructions(),
    listTools: async () => (await client.listTools()).tools,
    call: async (name, args = {}, { signal, onProgress } = {}) =>
      toAnswer(
        await client.callTool({ name, arguments: { ...args } }, undefined, {
          ...(signal && { signal }),
          ...(onProgress && { onprogress: onProgress }),
        }),
      ),
    read: async (uri) => toText((await client.readResource({ uri })).contents),
    prompt: async (name, args) => JSON.stringify(await client.getPrompt({ name, arguments: args })),
    close: () => client.close(),
  };
}

async function connectModern(kind: Kind, mode: 'legacy' | 'auto', place: Place): Promise<Agent> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode } });
  const transport =
    'url' in place
      ? new StreamableHTTPClientTransport(new URL('/mcp', place.url), {
          requestInit: { headers: headersFor(place.key) },
        })
      : new StdioClientTransport(toProcess(place));
  await client.connect(transport);
  return {
    kind,
    instructions: client.getInstructions(),
    listTools: async () => (await client.listTools()).tools,
    call: async (name, args = {}, { signal, onProgress } = {}) =>
      toAnswer(
        await client.callTool(
          { name, arguments: { ...args } },
          { ...(signal && { signal }), ...(onProgress && { onprogress: onProgress }) },
        ),
      ),
    read: async (uri) => toText((await client.readResource({ uri })).contents),
    prompt: async (name, args) => JSON.stringify(await client.getPrompt({ name, arguments: args })),
    close: () => client.close(),
  };
}

function toProcess(place: Extract<Place, { command: readonly string[] }>) {
  const [command = '', ...args] = place.command;
  return { command, args, stderr: 'inherit' as const, env: { PATH: process.env['PATH'] ?? '', ...place.env } };
}

let requests = 0;

/** A client of the revision 2026-07-28 with nothing but `fetch`. */
async function connectRaw(place: Place): Promise<Agent> {
  if (!('url' in place)) throw new Error('the raw client speaks HTTP only');
  const { url, key } = place;
  const ask = async (method: string, params: object = {}, signal?: AbortSignal) => {
    const { result, error } = await askRaw({ url, method, params, signal, ...(key !== undefined && { key }) });
    if (error) throw new Error(JSON.stringify(error));
    return result;
  };
  const { instructions } = await ask('server/discover');
  return {
    kind: 'raw modern',
    instructions,
    listTools: async () => (await ask('tools/list')).tools,
    call: async (name, args = {}, { signal } = {}) =>
      toAnswer(await ask('tools/call', { name, arguments: args }, signal)),
    read: async (uri) => toText((await ask('resources/read', { uri })).contents),
    prompt: async (name, args) => JSON.stringify(await ask('prompts/get', { name, arguments: args })),
    close: () => Promise.resolve(),
  };
}

export interface RawAnswer {
  status: number;
  // As for `ToolAnswer`.
  result: any; // oxlint-disable-line typescript/no-explicit-any
  error: any; // oxlint-disable-line typescript/no-explicit-any
}

/** One request of the revision 2026-07-28. */
export async function askRaw(request: {
  url: string;
  method: string;
  params?: object;
  signal?: AbortSignal | undefined;
  key?: string;
  capabilities?: object;
  meta?: object;
  headers?: Record<string, string>;
}): Promise<RawAnswer> {
  const { url, method, params = {}, signal, key, capabilities = {}, meta = {}, headers = {} } = request;
  const { name, uri, taskId } = params as { name?: string; uri?: string; taskId?: string };
  const target = name ?? uri ?? taskId;
  const response = await fetch(new URL('/mcp', url), {
    method: 'POST',
    headers: {
      ...headersFor(key),
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(target !== undefined && { 'mcp-name': target }),
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: ++requests,
      method,
      params: {
        ...params,
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': INFO,
          'io.modelcontextprotocol/clientCapabilities': capabilities,
          ...meta,
        },
      },
    }),
    ...(signal && { signal }),
  });
  const text = await response.text();
  const data = /^data: (.*"id":.*)$/m.exec(text)?.[1];
  const { result, error } = JSON.parse(data ?? text) as RawAnswer;
  return { status: response.status, result, error };
}

function toAnswer(result: unknown): ToolAnswer {
  const { content, structuredContent, isError } = result as {
    content: { text: string }[];
    structuredContent: unknown;
    isError?: boolean;
  };
  return { isError: isError === true, text: content[0]?.text ?? '', value: structuredContent };
}

function toText(contents: unknown): string {
  return (contents as { text: string }[]).map(({ text }) => text).join('');
}
