import {
  CLIENT_INFO_META_KEY,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { version } from '../../version.ts';
import type { Caller } from '../../caller.ts';
import { mayAsk, type Ask } from './ask.ts';
import { callTool, type Exchange } from './call-tool.ts';
import { envelopeOf } from './envelope.ts';
import { INSTRUCTIONS } from './instructions.ts';
import { registerPrompts } from './prompts.ts';
import { registerResources } from './resources.ts';
import { registerTaskMethods, TASKS_EXTENSION } from './tasks-extension.ts';
import type { McpTool } from './tool.ts';
import { createWaitSource } from './waits.ts';

export interface McpServerOptions {
  readonly era: 'legacy' | 'modern';
  /** Who asks: it sees what its roles allow. */
  readonly caller: Caller;
  /** Asks as the caller. */
  readonly ask: Ask;
  readonly exchange: Exchange;
  readonly tools: readonly McpTool[];
  /** Whether changes of resources reach the client; not over HTTP in the legacy era, where nothing stays open. */
  readonly canPush: boolean;
  /** How often a wait reports progress. */
  readonly tickMs?: number | undefined;
}

/** Lists are the same for every caller of one role, and change with the version only. */
const CACHE = { ttlMs: 300_000, cacheScope: 'private' } as const;

/** The MCP server of one request, or of one pipe: the same for both eras of the protocol. */
export function createMcpServer(options: McpServerOptions): McpServer {
  const { era, caller, ask, exchange, canPush } = options;
  const server = new McpServer(
    { name: 'task-orchestrator', title: 'Task Orchestrator', version },
    {
      instructions: INSTRUCTIONS,
      capabilities: {
        tools: { listChanged: false },
        resources: { listChanged: false, subscribe: canPush },
        prompts: { listChanged: false },
        ...(era === 'modern' && { extensions: { [TASKS_EXTENSION]: {} } }),
      },
      cacheHints: {
        'tools/list': CACHE,
        'prompts/list': CACHE,
        'resources/list': CACHE,
        'resources/templates/list': CACHE,
        'server/discover': CACHE,
      },
    },
  );
  serveTools(server, options);
  registerResources(server, { caller, ask, exchange });
  registerPrompts(server, caller);
  if (era === 'modern') registerTaskMethods(server, [createWaitSource(ask)]);
  return server;
}

/** Below the SDK's own registry, which cannot refuse in our words nor hand out handles. */
function serveTools(server: McpServer, { tools, caller, ask, exchange, tickMs }: McpServerOptions): void {
  const byName = new Map(tools.map((tool) => [tool.definition.name, tool]));
  const usable = tools.filter(({ operations }) => mayAsk(caller, operations));
  server.server.setRequestHandler('tools/list', () => ({ tools: usable.map(({ definition }) => definition) }));
  server.server.setRequestHandler('tools/call', ({ params }, context) => {
    const tool = byName.get(params.name);
    if (!tool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `There is no tool ${params.name}`);
    return callTool({
      tool,
      args: params.arguments,
      caller,
      ask,
      exchange,
      clientName: clientNameOf(server, context),
      context,
      ...(tickMs !== undefined && { tickMs }),
    });
  });
}

function clientNameOf(server: McpServer, context: ServerContext): string | undefined {
  return envelopeOf(context)[CLIENT_INFO_META_KEY]?.name ?? server.server.getClientVersion()?.name;
}
