import { setTimeout as pause } from 'node:timers/promises';
import { MissingRequiredClientCapabilityError, type ServerContext } from '@modelcontextprotocol/server';
import { CLIENT_CAPABILITIES_META_KEY } from '@modelcontextprotocol/server';
import { envelopeOf } from '../../../src/transports/mcp/envelope.ts';
import { fixture, PNG, text, WAV, type Fixture } from './fixture.ts';

/** The suite asks for a pause of about this length between two notifications. */
const PAUSE_MS = 50;

const image = { type: 'image', data: PNG, mimeType: 'image/png' } as const;
const string = { type: 'string' };

/** Tools of every kind of content, notification and request to the client. */
export const contentFixtures: readonly Fixture[] = [
  fixture('test_simple_text', () => text('This is a simple text response for testing.')),
  fixture('test_image_content', () => ({ content: [image] })),
  fixture('test_audio_content', () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] })),
  fixture('test_embedded_resource', () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  })),
  fixture('test_multiple_content_types', () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: '{"test":"data","value":123}',
        },
      },
    ],
  })),
  fixture('test_tool_with_logging', async (_args, { mcpReq }) => {
    await mcpReq.log('info', 'Tool execution started');
    await pause(PAUSE_MS);
    await mcpReq.log('info', 'Tool processing data');
    await pause(PAUSE_MS);
    await mcpReq.log('info', 'Tool execution completed');
    return text('logged');
  }),
  fixture('test_logging_tool', async (_args, { mcpReq }) => {
    await mcpReq.log('info', 'a line');
    return text('logged');
  }),
  fixture('test_tool_with_progress', async (_args, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      }
      await pause(PAUSE_MS);
    }
    return text('done');
  }),
  fixture('test_error_handling', () => ({
    ...text('This tool intentionally returns an error for testing'),
    isError: true,
  })),
  fixture('test_reconnection', () => text('still connected')),
  fixture('test_missing_capability', (_args, context) => {
    require(context, 'sampling');
    return text('sampled');
  }),
  fixture('test_x_mcp_header', ({ region }) => text(String(region)), {
    properties: { region: { ...string, 'x-mcp-header': 'Region' }, query: string },
  }),
  fixture('json_schema_2020_12_tool', () => text('ok'), {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $defs: { address: { $anchor: 'addressDef', type: 'object', properties: { street: string, city: string } } },
    properties: {
      name: string,
      address: { $ref: '#/$defs/address' },
      contactMethod: { ...string, enum: ['phone', 'email'] },
      phone: string,
      email: string,
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  }),
];

function require(context: ServerContext, capability: 'sampling'): void {
  const declared: object = envelopeOf(context)[CLIENT_CAPABILITIES_META_KEY] ?? {};
  if (!(capability in declared)) {
    throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { [capability]: {} } });
  }
}
