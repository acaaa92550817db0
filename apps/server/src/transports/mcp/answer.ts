import type { ErrorCode } from '@task-orchestrator/contract';
import type { CallToolResult } from '@modelcontextprotocol/server';
import type { Refusal } from '../../refusal.ts';
import { shorten } from './cut.ts';
import type { Answer } from './tool.ts';

/** The same compact JSON twice: clients disagree on which one their model sees. */
export function toToolResult(answer: Answer): CallToolResult {
  return { content: [{ type: 'text', text: JSON.stringify(answer) }], structuredContent: answer };
}

export function isToolResult(value: Answer | CallToolResult): value is CallToolResult {
  return Array.isArray(value['content']) || value['resultType'] !== undefined;
}

const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['RATE_LIMITED', 'UNAVAILABLE', 'INTERNAL_ERROR']);
const MAX_FIELDS = 10;
const MAX_MESSAGE = 600;

/** A refusal that the model can act on: a fixed code, whether to try again, and the call to make next. */
export function toErrorResult({ body, retryAfterSeconds }: Refusal, tool: string): CallToolResult {
  const { code, message, details } = body;
  const { task_id, status, request_id } = { task_id: undefined, status: undefined, ...details };
  const fields = details?.errors?.slice(0, MAX_FIELDS).map(({ field, message }) => `${field} ${message}`);
  const answer: Answer = {
    error: {
      code,
      message: shorten(message, MAX_MESSAGE),
      retryable: RETRYABLE.has(code),
      ...(retryAfterSeconds !== undefined && { retry_after_seconds: retryAfterSeconds }),
      ...(fields && { fields: fields.map((field) => shorten(field, 200)) }),
      ...(typeof task_id === 'string' && { task_id }),
      ...(typeof status === 'string' && { status }),
      ...(request_id !== undefined && { request_id }),
    },
    next: nextAfter(code, tool, retryAfterSeconds ?? 1),
  };
  return { ...toToolResult(answer), isError: true };
}

function nextAfter(code: ErrorCode, tool: string, seconds: number): string {
  switch (code) {
    case 'LEASE_LOST':
      return 'STOP working on this task: it is no longer yours, and somebody else may have it. Do not complete, fail or heartbeat it again. For other work call acquire_task.';
    case 'TASK_NOT_FOUND':
      return 'Check the task_id; list_tasks shows the tasks there are.';
    case 'STATUS_CONFLICT':
      return 'Look at the task with get_task before you decide.';
    case 'VALIDATION_ERROR':
    case 'PAYLOAD_TOO_LARGE':
      return `Correct what error names, and call ${tool} again.`;
    case 'IDEMPOTENCY_MISMATCH':
      return `The key stands for another task. Call ${tool} with the very same body for that task, or with a new key for a new one.`;
    case 'PROMPT_MISMATCH':
      return 'Look at the task with get_task, include ["prompt"].';
    case 'RATE_LIMITED':
    case 'UNAVAILABLE':
      return `Wait ${seconds} s, then call ${tool} again with the same arguments.`;
    case 'INTERNAL_ERROR':
      return `Call ${tool} once more with the same arguments; if that fails too, tell the user error.request_id.`;
    case 'UNAUTHORIZED':
    case 'FORBIDDEN':
      return 'Tell the user that the API key does not allow this.';
    case 'NOT_FOUND':
    case 'METHOD_NOT_ALLOWED':
    case 'URI_TOO_LONG':
    case 'UNSUPPORTED_MEDIA_TYPE':
      return 'Tell the user; this call cannot succeed.';
  }
}
