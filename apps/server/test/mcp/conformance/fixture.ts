import type { CallToolResult, InputRequiredResult, ServerContext, Tool } from '@modelcontextprotocol/server';

type Args = Readonly<Record<string, unknown>>;

/** A tool that the conformance suite asks for by name. */
export interface Fixture {
  definition: Tool;
  run: (
    args: Args,
    context: ServerContext,
  ) => CallToolResult | InputRequiredResult | Promise<CallToolResult | InputRequiredResult>;
}

export function fixture(name: string, run: Fixture['run'], inputSchema: object = {}): Fixture {
  return { definition: { name, description: `Fixture ${name}`, inputSchema: { type: 'object', ...inputSchema } }, run };
}

export function text(...lines: string[]): CallToolResult {
  return { content: lines.map((line) => ({ type: 'text', text: line })) };
}

/** One red pixel. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
/** No sample at all. */
export const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
