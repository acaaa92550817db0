import { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a model has no use for: it costs tokens in every conversation, and the server checks it anyway. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  '$schema',
  '$defs',
  'additionalProperties',
  'default',
  'examples',
  'format',
  'maxItems',
  'maxLength',
  'maximum',
  'minItems',
  'minLength',
  'minimum',
  'pattern',
  'propertyNames',
]);

/** The schema as a model should read it: types, choices and descriptions, references resolved. */
export function toLeanSchema(schema: z.ZodType): JsonSchema {
  const full = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const definitions = (full['$defs'] ?? {}) as Record<string, JsonSchema>;
  return asObject(slim(full, definitions));
}

function slim(value: unknown, definitions: Readonly<Record<string, JsonSchema>>): unknown {
  if (Array.isArray(value)) return value.map((item) => slim(item, definitions));
  if (typeof value !== 'object' || value === null) return value;
  const node = value as JsonSchema;
  const { $ref: reference, ...rest } = node;
  if (typeof reference === 'string')
    return slim({ ...definitions[reference.slice('#/$defs/'.length)], ...rest }, definitions);
  const { anyOf: options, ...outer } = node;
  // `T or null` of an input: to leave it out is shorter. `T or a list of T`: one will do.
  if (Array.isArray(options)) return slim({ ...(options[0] as JsonSchema), ...outer }, definitions);
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => !LEFT_OUT.has(key))
      .map(([key, inner]) => [key, key === 'properties' ? slimEach(inner, definitions) : slim(inner, definitions)]),
  );
}

/** The keys of `properties` are names of fields, whatever they are called. */
function slimEach(properties: unknown, definitions: Readonly<Record<string, JsonSchema>>): unknown {
  return Object.fromEntries(
    Object.entries(asObject(properties)).map(([name, schema]) => [name, slim(schema, definitions)]),
  );
}

function asObject(value: unknown): JsonSchema {
  return value as JsonSchema;
}
