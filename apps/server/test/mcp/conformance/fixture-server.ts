import { ResourceTemplate, type McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpServer, type McpServerOptions } from '../../../src/transports/mcp/create-server.ts';
import { registerTaskMethods } from '../../../src/transports/mcp/tasks-extension.ts';
import { createWaitSource } from '../../../src/transports/mcp/waits.ts';
import { contentFixtures } from './content-fixtures.ts';
import { PNG } from './fixture.ts';
import { answerTo, ask, askFor, inputFixtures } from './input-fixtures.ts';
import { jobFixtures, jobSource } from './job-fixtures.ts';

const fixtures = new Map(
  [...contentFixtures, ...inputFixtures, ...jobFixtures].map((item) => [item.definition.name, item]),
);

/** The server of the MCP door with what the conformance suite calls by name in place of its tools, and beside the rest. */
export function createFixtureServer(options: McpServerOptions): McpServer {
  const server = createMcpServer(options);
  server.server.registerCapabilities({ logging: {}, completions: {}, resources: { subscribe: true } });
  serveTools(server);
  registerResources(server);
  registerPrompts(server);
  if (options.era === 'modern') registerTaskMethods(server, [jobSource, createWaitSource(options.ask)]);
  return server;
}

function serveTools(server: McpServer): void {
  const tools = [...fixtures.values()].map(({ definition }) => definition);
  server.server.setRequestHandler('tools/list', () => ({ tools }));
  server.server.setRequestHandler('tools/call', async ({ params }, context) => {
    const tool = fixtures.get(params.name);
    if (!tool) throw new Error(`no fixture ${params.name}`);
    return tool.run(params.arguments ?? {}, context);
  });
  // Where the SDK looks for parameters that a header repeats.
  server.toolInputSchemaJson = (name) => fixtures.get(name)?.definition.inputSchema;
}

function registerResources(server: McpServer): void {
  const contents = (uri: string, text: string) => ({ contents: [{ uri, mimeType: 'text/plain', text }] });
  for (const uri of ['test://static-text', 'test://watched-resource']) {
    server.registerResource(uri, uri, { mimeType: 'text/plain' }, () =>
      contents(uri, 'This is a static text resource.'),
    );
  }
  server.registerResource('binary', 'test://static-binary', { mimeType: 'image/png' }, ({ href }) => ({
    contents: [{ uri: href, mimeType: 'image/png', blob: PNG }],
  }));
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource('template', template, { mimeType: 'application/json' }, ({ href }, { id }) => ({
    contents: [{ uri: href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true }) }],
  }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  server.server.setRequestHandler('completion/complete', () => ({ completion: { values: ['paris', 'park'] } }));
}

function registerPrompts(server: McpServer): void {
  const say = (...contents: object[]) => ({
    messages: contents.map((content) => ({
      role: 'user' as const,
      content: content as { type: 'text'; text: string },
    })),
  });
  server.registerPrompt('test_simple_prompt', { description: 'Fixture' }, () =>
    say({ type: 'text', text: 'This is a simple prompt for testing.' }),
  );
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'Fixture', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    ({ arg1, arg2 }) => say({ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'Fixture', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri: uri }) =>
      say(
        { type: 'resource', resource: { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } },
        { type: 'text', text: 'Please process the embedded resource above.' },
      ),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'Fixture' }, () =>
    say({ type: 'image', data: PNG, mimeType: 'image/png' }, { type: 'text', text: 'Please analyze the image above.' }),
  );
  server.registerPrompt('test_input_required_result_prompt', { description: 'Fixture' }, (context) => {
    const given = answerTo(context, 'user_context');
    return given === undefined
      ? ask({ user_context: askFor('What context should the prompt use?', 'context') })
      : say({ type: 'text', text: `In the context of ${String(given['context'])}` });
  });
}
