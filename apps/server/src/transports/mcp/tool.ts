import type { CallToolResult, Tool, ToolAnnotations } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Ask, CallName } from './ask.ts';
import { toLeanSchema, type JsonSchema } from './json-schema.ts';

/** What a tool answers: facts, and the next legal step. */
export interface Answer {
  readonly next: string;
  readonly [field: string]: unknown;
}

/** One call of a tool, as the tool sees it. */
export interface ToolCall {
  readonly ask: Ask;
  /** Aborts when the client is gone or has taken the call back. */
  readonly signal: AbortSignal;
  /** As the client calls itself; unknown to a legacy client's later requests over HTTP. */
  readonly clientName: string | undefined;
  /** W3C trace context of the caller. */
  readonly traceparent: string | undefined;
  /** Where a script of the worker reaches this server over HTTP; absent when the door is a pipe. */
  readonly baseUrl: string | undefined;
  /** Whether the client takes a handle for work that goes on (extension `io.modelcontextprotocol/tasks`). */
  readonly takesTasks: boolean;
}

/** A tool of the MCP door, made from operations of the contract. */
export interface McpTool {
  readonly definition: Tool;
  /** What it asks: who may not ask one of these has no use for the tool. */
  readonly operations: readonly CallName[];
  readonly input: z.ZodType;
  /** Why a call of it may take long; absent for tools that answer at once. */
  readonly describeWait?: (args: unknown) => { seconds: number; message: string };
  /** @param args have passed `input`. */
  readonly run: (args: unknown, call: ToolCall) => Promise<Answer | CallToolResult>;
}

interface ToolDescription<Input extends z.ZodObject> {
  name: string;
  title: string;
  description: string;
  operations: readonly CallName[];
  input: Input;
  /** Properties of the answer; all may be absent, since a refusal has others. */
  output: Readonly<Record<string, JsonSchema>>;
  annotations: Pick<ToolAnnotations, 'readOnlyHint' | 'destructiveHint' | 'idempotentHint'>;
  describeWait?: (args: z.output<Input>) => { seconds: number; message: string };
  run: (args: z.output<Input>, call: ToolCall) => Promise<Answer | CallToolResult>;
}

export function defineTool<Input extends z.ZodObject>(description: ToolDescription<Input>): McpTool {
  const { name, title, operations, input, output, annotations, describeWait, run } = description;
  const definition: Tool = {
    name,
    title,
    description: description.description,
    inputSchema: asToolSchema(toLeanSchema(input)),
    outputSchema: asToolSchema({
      type: 'object',
      properties: { ...output, next: { type: 'string' } },
      required: ['next'],
    }),
    annotations: { ...annotations, openWorldHint: false },
  };
  return {
    definition,
    operations,
    input,
    run: (args, call) => run(asArguments(args), call),
    ...(describeWait && { describeWait: (args) => describeWait(asArguments(args)) }),
  };
}

/** A tool's schema describes an object: `defineTool` builds it from one. */
function asToolSchema(schema: JsonSchema): Tool['inputSchema'] {
  return schema as Tool['inputSchema'];
}

/** Who calls a tool has parsed its arguments with the tool's own schema. */
function asArguments<Input extends z.ZodObject>(args: unknown): z.output<Input> {
  return args as z.output<Input>;
}

/** Schemas of answers, as short as they get. */
export const OBJECT: JsonSchema = { type: 'object' };
export const STRING: JsonSchema = { type: 'string' };
export const NUMBER: JsonSchema = { type: 'number' };
export const BOOLEAN: JsonSchema = { type: 'boolean' };
export const OBJECTS: JsonSchema = { type: 'array', items: OBJECT };
export const STRINGS: JsonSchema = { type: 'array', items: STRING };
