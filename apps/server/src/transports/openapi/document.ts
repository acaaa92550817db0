import { ErrorBody, operations, type Operation } from '@task-orchestrator/contract';
import { listPathFields } from '../rest/input-reader.ts';
import { createComponentSchemas, type ComponentSchemas, type JsonSchema } from './component-schemas.ts';
import type { OpenApiDocument, OperationObject, ParameterObject, ResponseObject } from './document-shape.ts';
import { exampleOf } from './examples.ts';
import { answerHeaders, referToHeaders } from './answer-headers.ts';
import { createRefusalResponses } from './refusal-responses.ts';

const TAGS = {
  tasks: 'Submit tasks, work on them, follow them',
  events: 'What happens, as it happens',
  workers: 'Who works',
  paths: 'Settings of work directories',
  keys: 'Who may do what, and where',
  stats: 'Numbers of the whole service',
  health: 'Whether the service works',
} satisfies Record<keyof typeof operations, string>;

const EXAMPLE_TIME = '2024-01-01T00:00:00.000Z';

/** The OpenAPI 3.1 document of the REST door, made from the contract. */
export function createOpenApiDocument({ version }: { version: string }): OpenApiDocument {
  const schemas = createComponentSchemas();
  const named = Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, operation]) => ({ name: `${group}.${name}`, group, operation })),
  );
  // Outputs first: where input and output of one name differ, the output keeps the name.
  const outputs = new Map(named.map(({ name, operation }) => [name, schemas.ofOutput(operation.output)]));
  const errorSchema = schemas.ofOutput(ErrorBody);
  const refusals = createRefusalResponses();

  const paths: OpenApiDocument['paths'] = {};
  for (const { name, group, operation } of named) {
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = {
      operationId: name,
      tags: [group],
      summary: operation.summary,
      description: describe(operation),
      ...(operation.isPublic && { security: [] }),
      ...describeRequest(name, operation, schemas),
      responses: {
        '200': describeAnswer(name, operation, outputs.get(name) ?? {}),
        ...refusals.of(operation),
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Task Orchestrator',
      version,
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'This server' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: { ...schemas.list(), ErrorEnvelope: wrapErrorSchema(errorSchema) },
      responses: refusals.list(),
      headers: answerHeaders,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: '`Authorization: Bearer <key>`' },
        apiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'x-api-key',
          description: 'The same key, in a header of its own',
        },
      },
    },
  };
}

const DESCRIPTION = `A durable task orchestrator for fleets of workers.

Producers create tasks; workers acquire the next one for a work path, keep it alive with heartbeats, and complete, fail or
release it. Every answer wears the same envelope: \`{"success", "data", "error", "timestamp"}\`. Times are ISO 8601 UTC.
Every answer carries \`x-request-id\`; it finds the request in the log of the server.`;

function describe({ kind, isBare, isPublic, roles }: Operation): string {
  const who = isPublic ? 'Needs no key.' : `Roles: ${[...roles, 'admin'].map((role) => `\`${role}\``).join(', ')}.`;
  if (kind === 'subscription') {
    return `${who} Server-sent events: \`id\` is the \`event_id\`, \`event\` the type, \`data\` the event as JSON. A comment comes every 15 seconds while nothing happens.`;
  }
  return isBare ? `${who} Answers without the envelope, 503 when unhealthy.` : who;
}

function describeRequest(
  name: string,
  operation: Operation,
  schemas: ComponentSchemas,
): Pick<OperationObject, 'parameters' | 'requestBody'> {
  const schema = schemas.ofInput(operation.input);
  const { properties = {}, required = [], ...rest } = schema;
  const example = exampleOf(name).input;
  const pathFields = listPathFields(operation.path);
  const isInUrl = (field: string) => operation.method === 'GET' || pathFields.includes(field);

  const parameters = Object.entries(properties)
    .filter(([field]) => isInUrl(field))
    .map(([field, property]) =>
      toParameter(field, property as JsonSchema, {
        in: pathFields.includes(field) ? 'path' : 'query',
        required: required.includes(field),
        example: example[field],
      }),
    );
  const headers = Object.entries(operation.headers ?? {}).map(([header, field]) =>
    toParameter(header, properties[field] as JsonSchema, { in: 'header', required: false, example: undefined }),
  );
  const all = [...parameters, ...headers];
  const params = all.length > 0 ? { parameters: all } : {};
  if (operation.method === 'GET') return params;

  const inBody = ([field]: [string, unknown]) => !isInUrl(field);
  const bodyRequired = required.filter((field) => !isInUrl(field));
  const body: JsonSchema = {
    ...rest,
    properties: Object.fromEntries(Object.entries(properties).filter(inBody)),
    ...(bodyRequired.length > 0 && { required: bodyRequired }),
  };
  if (Object.keys(body.properties ?? {}).length === 0) return params;
  const bodyExample = Object.fromEntries(Object.entries(example).filter(inBody));
  return {
    ...params,
    requestBody: {
      required: bodyRequired.length > 0,
      content: { 'application/json': { schema: body, example: bodyExample } },
    },
  };
}

function toParameter(
  name: string,
  property: JsonSchema,
  place: Pick<ParameterObject, 'in' | 'required'> & { example: unknown },
): ParameterObject {
  const { description, ...schema } = property;
  return {
    name,
    in: place.in,
    required: place.required,
    ...(description !== undefined && { description }),
    schema,
    ...(place.example !== undefined && { example: place.example }),
  };
}

function describeAnswer(name: string, operation: Operation, schema: JsonSchema): ResponseObject {
  const { output } = exampleOf(name);
  if (operation.kind === 'subscription') {
    return {
      description: 'The stream',
      content: { 'text/event-stream': { schema: { type: 'string' }, example: toEventText(output) } },
    };
  }
  const content = operation.isBare
    ? { schema, example: output }
    : {
        schema: wrapSchema({ success: true, data: schema, error: { type: 'null' } }),
        example: { success: true, data: output, error: null, timestamp: EXAMPLE_TIME },
      };
  return {
    description: operation.summary,
    ...(!operation.isPublic && { headers: referToHeaders(['RateLimit-Policy', 'RateLimit']) }),
    content: { 'application/json': content },
  };
}

function toEventText(output: unknown): string {
  const { event_id, type } = output as { event_id: string; type: string };
  return `id: ${event_id}\nevent: ${type}\ndata: ${JSON.stringify(output)}\n\n`;
}

function wrapSchema(fields: { success: boolean; data: JsonSchema; error: JsonSchema }): JsonSchema {
  return {
    type: 'object',
    properties: {
      success: { type: 'boolean', const: fields.success },
      data: fields.data,
      error: fields.error,
      timestamp: { type: 'string', format: 'date-time' },
    },
    required: ['success', 'data', 'error', 'timestamp'],
  };
}

function wrapErrorSchema(error: JsonSchema): JsonSchema {
  return wrapSchema({ success: false, data: { type: 'null' }, error });
}
