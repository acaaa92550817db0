import { TRACEPARENT_META_KEY, type CallToolResult, type ServerContext } from '@modelcontextprotocol/server';
import type { Outcome } from '../../record-request.ts';
import { toRefusal } from '../../refusal.ts';
import { findTraceparent } from '../../traceparent.ts';
import { validateInput } from '../../validate.ts';
import { isToolResult, toErrorResult, toToolResult } from './answer.ts';
import type { Caller } from '../../caller.ts';
import { requireAccess, type Ask } from './ask.ts';
import { keepLease, type Holding } from './holding.ts';
import { takesTasks } from './tasks-extension.ts';
import type { McpTool, ToolCall } from './tool.ts';
import { whileWaiting } from './while-waiting.ts';

/** Who asks, and through which door. */
export interface Exchange {
  readonly requestId: string;
  /** Where this server is reached over HTTP. */
  readonly baseUrl: string | undefined;
  /** Measures and logs one call of a tool. */
  record(tool: string, outcome: Outcome): void;
}

/** How often a wait reports progress, and renews the lease of who waits. */
const TICK_MS = 10_000;

/** Runs one call of a tool; what goes wrong becomes an answer that the model can act on. */
export async function callTool(options: {
  tool: McpTool;
  args: unknown;
  caller: Caller;
  ask: Ask;
  exchange: Exchange;
  clientName: string | undefined;
  context: ServerContext;
  tickMs?: number;
}): Promise<CallToolResult> {
  const { tool, ask, exchange, clientName, context, tickMs = TICK_MS } = options;
  const { name } = tool.definition;
  let isWaiting = false;
  try {
    requireAccess(options.caller, tool.operations);
    const args = validateInput(tool, options.args ?? {});
    const wait = tool.describeWait?.(args);
    isWaiting = (wait?.seconds ?? 0) > 0;
    const lease = keepLease(holdingOf(args), { ask });
    await lease?.renew();
    const { signal } = context.mcpReq;
    const call: ToolCall = {
      ask,
      signal,
      clientName,
      traceparent: findTraceparent(context.mcpReq._meta?.[TRACEPARENT_META_KEY]),
      baseUrl: exchange.baseUrl,
      takesTasks: takesTasks(context),
    };
    const promise = tool.run(args, call);
    const report = wait && isWaiting ? createReport(context, wait) : undefined;
    const tick = () => {
      report?.();
      // What it refuses, the renewal at the end refuses again.
      lease?.renew().catch(() => undefined);
    };
    const answer = await (isWaiting ? whileWaiting({ promise, everyMs: tickMs, tick }) : promise);
    exchange.record(name, { status: 200, isWaiting });
    if (isToolResult(answer)) return answer;
    if (isWaiting) await lease?.renew();
    return toToolResult(lease ? lease.tell(answer) : answer);
  } catch (error) {
    const refusal = toRefusal(error, exchange.requestId);
    exchange.record(name, { status: refusal.status, refusal, isWaiting });
    return toErrorResult(refusal, name);
  }
}

function holdingOf(args: unknown): Holding {
  return (args as { holding?: Holding }).holding;
}

/** Tells a client that asked for it how long it has been waiting; nobody listens when it is gone. */
function createReport({ mcpReq }: ServerContext, wait: { seconds: number; message: string }): (() => void) | undefined {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return undefined;
  const startedAt = performance.now();
  return () => {
    const progress = Math.round(performance.now() - startedAt) / 1000;
    const params = { progressToken, progress, total: wait.seconds, message: wait.message };
    mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
  };
}
