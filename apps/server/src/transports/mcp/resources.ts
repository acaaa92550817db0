import { TaskStatus, type TaskEvent } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  ResourceTemplate,
  type McpServer,
  type ReadResourceResult,
} from '@modelcontextprotocol/server';
import { toRefusal } from '../../refusal.ts';
import type { Caller } from '../../caller.ts';
import { mayAsk, type Ask, type CallName } from './ask.ts';
import type { Exchange } from './call-tool.ts';
import { toRow } from './tools/list-tasks.ts';

const LATEST = 20;
const LOG_PAGE = 1000;

/** Tasks and paths to read as a whole, where a tool's answer has to be short. */
export function registerResources(
  server: McpServer,
  { caller, ask, exchange }: { caller: Caller; ask: Ask; exchange: Exchange },
): void {
  register({
    name: 'task',
    template: 'task://{id}',
    description: 'A task, with its prompt and result',
    operation: 'tasks.get',
    read: async (task_id) => JSON.stringify(await ask('tasks.get', { task_id })),
  });
  register({
    name: 'task-result',
    template: 'task://{id}/result',
    description: 'How a task ended',
    operation: 'tasks.get',
    async read(task_id) {
      const { status, result, error, finished_at } = await ask('tasks.get', { task_id });
      return JSON.stringify({ task_id, status, result, error, finished_at });
    },
  });
  register({
    name: 'task-logs',
    template: 'task://{id}/logs',
    description: 'The output of its workers',
    mimeType: 'text/plain',
    operation: 'tasks.logs',
    read: (id) => readLogs(ask, id),
  });
  register({
    name: 'path',
    template: 'path://{+path}',
    description: 'What goes on in a directory',
    operation: 'tasks.list',
    read: async (path) => JSON.stringify(await summarise(ask, toPath(path))),
  });

  function register({
    name,
    template,
    description,
    mimeType = 'application/json',
    operation,
    read,
  }: Description): void {
    if (!mayAsk(caller, [operation])) return;
    const resource = new ResourceTemplate(template, { list: undefined });
    server.registerResource(name, resource, { description, mimeType }, async ({ href: uri }, variables) => {
      const value = decode(String(Object.values(variables)[0]));
      return toContents(uri, mimeType, await read(value).catch((error: unknown) => refuse(error, uri, exchange)));
    });
  }
}

interface Description {
  readonly name: string;
  readonly template: string;
  readonly description: string;
  readonly mimeType?: string;
  /** Who may not ask it does not see the resource. */
  readonly operation: CallName;
  readonly read: (value: string) => Promise<string>;
}

/** The resources that an event has changed. */
export function resourcesOf({ task_id, work_directory }: TaskEvent): string[] {
  const task = `task://${task_id}`;
  return [task, `${task}/result`, `${task}/logs`, toPathUri(work_directory)];
}

/** `/srv/repo` is `path:///srv/repo`, `C:/repo` is `path:///C:/repo`. */
export function toPathUri(path: string): string {
  return new URL(
    `path://${encodeURI(path.startsWith('/') ? path : `/${path}`).replaceAll(/[?#]/g, encodeURIComponent)}`,
  ).href;
}

function toPath(uriPath: string): string {
  return /^\/[A-Za-z]:/.test(uriPath) ? uriPath.slice(1) : uriPath;
}

async function summarise(ask: Ask, path: string): Promise<object> {
  const counted = TaskStatus.options.map(async (status) => {
    const { total } = await ask('tasks.list', { work_directory: path, status, limit: 1 });
    return [status, total] as const;
  });
  const [latest, ...counts] = await Promise.all([
    ask('tasks.list', { work_directory: path, limit: LATEST }),
    ...counted,
  ]);
  return { path, tasks: Object.fromEntries(counts), latest: latest.tasks.map(toRow) };
}

async function readLogs(ask: Ask, task_id: string): Promise<string> {
  const parts: string[] = [];
  for (let cursor: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof ask<'tasks.logs'>>> = await ask('tasks.logs', {
      task_id,
      limit: LOG_PAGE,
      ...(cursor !== null && { cursor }),
    });
    parts.push(...page.entries.map(({ text }) => (text.endsWith('\n') ? text : `${text}\n`)));
    if (page.next_cursor === null) return parts.join('');
    cursor = page.next_cursor;
  }
}

function toContents(uri: string, mimeType: string, text: string): ReadResourceResult {
  return { contents: [{ uri, mimeType, text }] };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function refuse(error: unknown, uri: string, exchange: Exchange): never {
  const refusal = toRefusal(error, exchange.requestId);
  exchange.record('resources/read', { status: refusal.status, refusal });
  if (error instanceof DomainError && (error.code === 'TASK_NOT_FOUND' || error.code === 'VALIDATION_ERROR')) {
    throw new ResourceNotFoundError(uri);
  }
  throw new ProtocolError(ProtocolErrorCode.InternalError, refusal.body.message);
}
