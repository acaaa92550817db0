import { z } from 'zod';

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Collects the named schemas of a document; what it gives back refers to them under `#/components/schemas/`. */
export interface ComponentSchemas {
  /** What callers may write: fields with a default are optional. */
  ofInput(schema: z.ZodType): JsonSchema;
  /** What the service answers. */
  ofOutput(schema: z.ZodType): JsonSchema;
  /** Every schema that was named, sorted. */
  list(): Record<string, JsonSchema>;
}

/**
 * zod writes schemas with an id as `$defs` of the schema that uses them, where OpenAPI does not look: they are moved here.
 * What differs between the two directions (a default makes a field optional for callers) gets the suffix `Input`.
 */
export function createComponentSchemas(): ComponentSchemas {
  const components = new Map<string, JsonSchema>();

  function convert(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const root = z.toJSONSchema(schema, { io, reused: 'inline', override: ({ jsonSchema }) => tidy(jsonSchema, io) });
    const { $defs = {}, ...body } = root;
    delete body.$schema;
    const named = wrapRoot(body, $defs);
    const names = nameAll(named.definitions, io);
    for (const [id, definition] of Object.entries(named.definitions)) {
      components.set(names.get(id) ?? id, point(dropId(definition), names));
    }
    return point(named.body, names);
  }

  /** The names under which these definitions live among the components. */
  function nameAll(definitions: Definitions, io: 'input' | 'output'): Map<string, string> {
    const names = new Map(Object.keys(definitions).map((id) => [id, id]));
    if (io === 'output') return names;
    // Whoever refers to a renamed schema differs too, so this repeats until nothing changes.
    for (let changed = true; changed;) {
      changed = false;
      for (const [id, definition] of Object.entries(definitions)) {
        const known = components.get(id);
        if (!known || names.get(id) !== id || isSame(known, point(dropId(definition), names))) continue;
        names.set(id, `${id}Input`);
        changed = true;
      }
    }
    return names;
  }

  return {
    ofInput: (schema) => convert(schema, 'input'),
    ofOutput: (schema) => convert(schema, 'output'),
    list: () => Object.fromEntries([...components].sort(([a], [b]) => a.localeCompare(b))),
  };
}

type Definitions = Record<string, JsonSchema>;

/** A schema that has a name itself becomes a definition like the ones inside it. */
function wrapRoot(body: JsonSchema, definitions: Definitions): { body: JsonSchema; definitions: Definitions } {
  const { id } = body;
  if (id === undefined) return { body, definitions };
  return { body: { $ref: `#/$defs/${id}` }, definitions: { ...definitions, [id]: body } };
}

function tidy(schema: JsonSchema, io: 'input' | 'output'): void {
  // Answers may gain fields; a client made from the document must not refuse them.
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties;
  // Bounds of every safe integer say nothing.
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  // `format` says what the pattern of a time says in 300 characters.
  if (schema.format === 'date-time') delete schema.pattern;
  if (schema.propertyNames) listKeys(schema);
}

/** A record of known keys is an object with these properties; of any keys, its values say all. */
function listKeys(schema: JsonSchema): void {
  const { required, additionalProperties } = schema;
  delete schema.propertyNames;
  if (!required || typeof additionalProperties !== 'object') return;
  schema.properties = Object.fromEntries(required.map((key) => [key, additionalProperties]));
  delete schema.additionalProperties;
}

function dropId(schema: JsonSchema): JsonSchema {
  const anonymous = { ...schema };
  delete anonymous.id;
  return anonymous;
}

/** Turns references to definitions into references to components. */
function point(schema: JsonSchema, names: ReadonlyMap<string, string>): JsonSchema {
  const text = JSON.stringify(schema).replaceAll(/"#\/\$defs\/([^"]+)"/g, (_, id: string) =>
    JSON.stringify(`#/components/schemas/${names.get(id) ?? id}`),
  );
  return JSON.parse(text) as JsonSchema;
}

function isSame(one: JsonSchema, other: JsonSchema): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
