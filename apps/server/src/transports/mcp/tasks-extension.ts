import {
  CLIENT_CAPABILITIES_META_KEY,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  type CallToolResult,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { envelopeOf } from './envelope.ts';

/**
 * Handles for work that goes on after the call: https://github.com/modelcontextprotocol/ext-tasks, revision 2026-07-28.
 * The SDK has no support of its own yet; what it will bring can take the place of this file.
 */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** How work stands that a handle was given for. */
export type TaskState =
  | { status: 'working' | 'cancelled'; statusMessage?: string; lastUpdatedAt: string }
  | { status: 'input_required'; inputRequests: Record<string, unknown>; lastUpdatedAt: string }
  | { status: 'completed'; result: CallToolResult; lastUpdatedAt: string }
  | { status: 'failed'; error: { code: number; message: string }; statusMessage?: string; lastUpdatedAt: string };

/** Where handles of one kind lead. */
export interface TaskSource {
  /** When the work began, for a handle of this source. */
  createdAt(taskId: string): string | undefined;
  get(taskId: string): Promise<TaskState>;
  /** Hands in what the work asked for. */
  update(taskId: string, responses: Readonly<Record<string, unknown>>): void;
  /** A wish; the work may come to its end all the same. */
  cancel(taskId: string): void;
}

const POLL_INTERVAL_MS = 5000;
const Handle = z.looseObject({ taskId: z.string() });
const ACKNOWLEDGED = {};

export function registerTaskMethods(server: McpServer, sources: readonly TaskSource[]): void {
  const find = (taskId: string, context: ServerContext): { source: TaskSource; createdAt: string } => {
    if (!takesTasks(context)) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: CAPABILITY });
    for (const source of sources) {
      const createdAt = source.createdAt(taskId);
      if (createdAt !== undefined) return { source, createdAt };
    }
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no task with this taskId');
  };
  server.server.setRequestHandler('tasks/get', { params: Handle }, async ({ taskId }, context) => {
    const { source, createdAt } = find(taskId, context);
    return describe(taskId, createdAt, await source.get(taskId));
  });
  server.server.setRequestHandler('tasks/update', { params: Handle }, ({ taskId }, context) => {
    const { source } = find(taskId, context);
    source.update(taskId, context.mcpReq.inputResponses ?? {});
    return ACKNOWLEDGED;
  });
  server.server.setRequestHandler('tasks/cancel', { params: Handle }, ({ taskId }, context) => {
    find(taskId, context).source.cancel(taskId);
    return ACKNOWLEDGED;
  });
}

/** Whether this very request says that its client understands handles. */
export function takesTasks(context: ServerContext): boolean {
  const capabilities = envelopeOf(context)[CLIENT_CAPABILITIES_META_KEY];
  return capabilities?.extensions?.[TASKS_EXTENSION] !== undefined;
}

const CAPABILITY = { extensions: { [TASKS_EXTENSION]: {} } };

/** The answer of a tool that goes on working: a handle instead of a result. */
export function handOutTask(taskId: string, createdAt: string, state: TaskState): CallToolResult {
  return asToolResult({ resultType: 'task', ...describe(taskId, createdAt, state) });
}

function describe(taskId: string, createdAt: string, state: TaskState) {
  return { taskId, createdAt, ttlMs: null, pollIntervalMs: POLL_INTERVAL_MS, ...state };
}

/** The SDK passes a result on as it is when it says a `resultType` of its own. */
function asToolResult(result: object): CallToolResult {
  return result as CallToolResult;
}
