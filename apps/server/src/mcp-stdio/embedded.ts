import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { openCore } from '@task-orchestrator/core';
import type { McpServer } from '@modelcontextprotocol/server';
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { Config } from '../config/config.ts';
import { toCoreOptions } from '../core-options.ts';
import { createHealthCheck } from '../health.ts';
import { ANYONE } from '../caller.ts';
import { createKeyWatch } from '../key-watch.ts';
import { createKeyring } from '../keyring.ts';
import { bindOperations } from '../operations.ts';
import { createAsk } from '../transports/mcp/ask.ts';
import type { Exchange } from '../transports/mcp/call-tool.ts';
import { createMcpServer } from '../transports/mcp/create-server.ts';
import { followChanges } from '../transports/mcp/resource-changes.ts';
import { resourcesOf } from '../transports/mcp/resources.ts';
import { TOOLS } from '../transports/mcp/tools/all.ts';
import { version } from '../version.ts';

/** The whole service in this process, for the one agent at the other end of the pipes. */
export async function serveEmbedded(config: Config): Promise<void> {
  const core = await openCore(
    toCoreOptions(config, { onError: (error, doing) => complain(`${doing}: ${String(error)}`) }),
  );
  const health = createHealthCheck({
    core,
    version,
    isDraining: () => false,
    countConnections: () => Promise.resolve(1),
  });
  // Who can start this can also open the database: there is nobody to keep out.
  const keyring = createKeyring({ keys: core.keys, mustKeepAdmin: config.security.admin_key === undefined });
  const watch = createKeyWatch({ keys: core.keys });
  const ask = createAsk(bindOperations({ core, health, keyring, watch }))(ANYONE);
  const ending = new AbortController();
  const { signal } = ending;

  const transport = new StdioServerTransport();
  const handle = serveStdio(
    ({ era }) => {
      const server = createMcpServer({ era, caller: ANYONE, ask, exchange: EXCHANGE, tools: TOOLS, canPush: true });
      const isWanted = era === 'legacy' ? registerSubscriptions(server) : () => true;
      const tell = (uri: string) => {
        // A server that only answered a client's question about eras is gone by now.
        if (server.isConnected() && isWanted(uri)) server.server.sendResourceUpdated({ uri }).catch(() => undefined);
      };
      void followChanges(core, (event) => resourcesOf(event).forEach(tell), signal);
      return server;
    },
    { transport, onerror: (error) => complain(error.message) },
  );
  await untilClosed();
  await handle.close();
  ending.abort();
  core.drain();
  // Calls that were cut off give back what they would have got.
  await setImmediate();
  await core.close();
}

const EXCHANGE: Exchange = {
  requestId: 'stdio',
  baseUrl: undefined,
  record(tool, { refusal }) {
    if (refusal?.cause !== undefined) complain(`${tool}: ${inspect(refusal.cause)}`);
  },
};

/** The modern era subscribes by a stream that the SDK keeps; the older one by these methods. */
function registerSubscriptions({ server }: McpServer): (uri: string) => boolean {
  const wanted = new Set<string>();
  server.setRequestHandler('resources/subscribe', ({ params }) => {
    wanted.add(new URL(params.uri).href);
    return {};
  });
  server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    wanted.delete(new URL(params.uri).href);
    return {};
  });
  return (uri) => wanted.has(uri);
}

function untilClosed(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['end', 'close'] as const) process.stdin.once(event, () => resolve());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

/** Stdout is the protocol's. */
function complain(text: string): void {
  process.stderr.write(`task-orchestrator mcp: ${text}\n`);
}
