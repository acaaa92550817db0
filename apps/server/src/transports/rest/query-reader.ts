import type { z } from 'zod';

type QueryValue = string | string[];
type Coerce = (value: QueryValue) => unknown;

/** Turns the text of a query string into what the schema's types expect. Text that does not fit stays as it is, for the schema to refuse. */
export type QueryReader = (query: Record<string, QueryValue>) => Record<string, unknown>;

/** Looks at the schema once; the schema itself is left alone. */
export function createQueryReader(shape: Readonly<Record<string, z.core.$ZodType>>): QueryReader {
  const coercers = new Map(Object.entries(shape).map(([name, schema]) => [name, toCoercer(schema)]));
  return (query) => {
    // Without a prototype, so that `?__proto__=` is a field like any other unknown one.
    const input: Record<string, unknown> = Object.create(null);
    for (const name in query) {
      const value = query[name] ?? '';
      input[name] = coercers.get(name)?.(value) ?? value;
    }
    return input;
  };
}

function toCoercer(schema: z.core.$ZodType): Coerce {
  const types = listTypes(schema);
  const coerceOne = types.has('number') ? toNumber : types.has('boolean') ? toBoolean : asIs;
  if (!types.has('array')) return (value) => (typeof value === 'string' ? coerceOne(value) : value);
  const isListOnly = types.size === 1;
  return (value) => {
    const parts = [value].flat().flatMap((part) => part.split(','));
    return isListOnly || parts.length > 1 ? parts.map(coerceOne) : coerceOne(parts[0] ?? '');
  };
}

/** The types a schema admits, without its wrappers (`optional`, `default`, …). */
function listTypes(schema: z.core.$ZodType): Set<string> {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
      return listTypes(def.innerType);
    case 'union':
      return new Set(def.options.flatMap((option) => [...listTypes(option)]));
    default:
      return new Set([def.type]);
  }
}

const NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/;
const toNumber = (text: string): unknown => (NUMBER.test(text) ? Number(text) : text);
const toBoolean = (text: string): unknown => (text === 'true' ? true : text === 'false' ? false : text);
const asIs = (text: string): unknown => text;
