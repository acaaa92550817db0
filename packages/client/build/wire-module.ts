import * as contract from '@task-orchestrator/contract';
import type { Operation } from '@task-orchestrator/contract';

/** The parts of JSON Schema that the contract's schemas come out as. */
interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  propertyNames?: JsonSchema;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
}
interface Schema {
  toJSONSchema(options: { io: 'input' | 'output' }): unknown;
}

const RENAMED: Record<string, string> = { Error: 'ErrorBody', Worker: 'WorkerInfo' };
/** Types that `src/wire.ts` exports and that no schema refers to by name. */
const ALSO_NAMED: Record<string, Schema> = {
  EmptyReason: contract.EmptyReason,
  ErrorCode: contract.ErrorCode,
  ErrorDetails: contract.ErrorDetails,
  FieldError: contract.FieldError,
};

/** JavaScript that stands for `src/wire.ts` in the package: the table of kinds without the schemas. */
export function wireRuntime(): string {
  return `export const operationKinds = ${JSON.stringify(
    mapOperations(({ kind }) => kind),
    null,
    2,
  )};\n`;
}

/** Declarations that stand for `src/wire.ts` in the package: the types of the schemas, without zod. */
export function wireDeclarations(): string {
  const names = new Map<string, string>();
  const print = (schema: Schema, io: 'input' | 'output') => printRoot(schema, io, names);
  const also = Object.entries(ALSO_NAMED).map(
    ([name, schema]) => `export type ${name} = ${print(schema, 'output')};\n`,
  );
  const groups = Object.entries<Record<string, Operation>>(contract.operations).map(([group, members]) => {
    const lines = Object.entries(members).map(
      ([name, { kind, summary, input, output }]) =>
        `${comment(summary)}${name}: { kind: '${kind}'; input: ${print(input, 'input')}; output: ${print(output, 'output')} };\n`,
    );
    return `${group}: {\n${lines.join('')}};\n`;
  });
  return [
    ...names.values(),
    ...also,
    comment('Kind, input (what a caller may write) and output of every operation, by its name.'),
    `export interface OperationTypes {\n${groups.join('')}}\n`,
    `export type HttpStatusOf = ${JSON.stringify(contract.HTTP_STATUS)};\n`,
    'type KindOf<Types> = Types extends { kind: infer Kind } ? Kind : never;\n',
    'export declare const operationKinds: { [Group in keyof OperationTypes]: { [Name in keyof OperationTypes[Group]]: KindOf<OperationTypes[Group][Name]> } };\n',
  ].join('');
}

function mapOperations<Value>(to: (operation: Operation) => Value): Record<string, Record<string, Value>> {
  return Object.fromEntries(
    Object.entries<Record<string, Operation>>(contract.operations).map(([group, members]) => [
      group,
      Object.fromEntries(Object.entries(members).map(([name, operation]) => [name, to(operation)])),
    ]),
  );
}

/** Prints a schema; what it refers to by name is declared in `names`, once for reading and once for writing. */
function printRoot(schema: Schema, io: 'input' | 'output', names: Map<string, string>): string {
  // zod types its answer as full JSON Schema; the subset above is what this contract comes out as, and the
  // package test compares the printed types with those that TypeScript infers.
  const root = schema.toJSONSchema({ io }) as JsonSchema;
  const defs = root.$defs ?? {};
  const nameOf = (ref: string) => {
    const id = ref.replace('#/$defs/', '');
    const name = `${RENAMED[id] ?? id}${io === 'input' && isReadDifferently(id) ? 'Input' : ''}`;
    if (!names.has(name)) {
      names.set(name, '');
      const def = defs[id] ?? {};
      const type = printType(def, nameOf);
      const head = `${comment(def.description)}export `;
      names.set(name, type.startsWith('{') ? `${head}interface ${name} ${type}\n` : `${head}type ${name} = ${type};\n`);
    }
    return name;
  };
  return printType(root, nameOf);
}

/** Named schemas with defaults: a writer may leave out what a reader always finds. */
function isReadDifferently(id: string): boolean {
  const schema = (contract as Record<string, unknown>)[id] as Schema | undefined;
  if (!schema) return false;
  return JSON.stringify(schema.toJSONSchema({ io: 'input' })) !== JSON.stringify(schema.toJSONSchema({ io: 'output' }));
}

function printType(schema: JsonSchema, nameOf: (ref: string) => string): string {
  const print = (inner: JsonSchema) => printType(inner, nameOf);
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.anyOf) return schema.anyOf.map(print).join(' | ');
  if (Array.isArray(schema.type)) return schema.type.map((type) => print({ ...schema, type })).join(' | ');
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type;
    case 'number':
    case 'integer':
      return 'number';
    case 'array':
      return `Array<${print(schema.items ?? {})}>`;
    case 'object':
      return printObject(schema, print);
    case undefined:
      return 'unknown';
    default:
      throw new Error(`The contract uses JSON Schema type ${schema.type}, which build/wire-module.ts cannot print yet`);
  }
}

function printObject(schema: JsonSchema, print: (inner: JsonSchema) => string): string {
  const rest = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  if (!schema.properties && rest)
    return `Record<${schema.propertyNames ? print(schema.propertyNames) : 'string'}, ${print(rest)}>`;
  const properties = Object.entries(schema.properties ?? {}).map(([name, inner]) => {
    const isRequired = schema.required?.includes(name);
    return `${comment(describe(inner))}${name}${isRequired ? ':' : '?:'} ${print(inner)}${isRequired ? '' : ' | undefined'};\n`;
  });
  if (rest) properties.unshift(`[key: string]: ${print(rest)};\n`);
  return properties.length > 0 ? `{\n${properties.join('')}}` : 'Record<string, never>';
}

function describe(schema: JsonSchema): string | undefined {
  const range =
    schema.minimum !== undefined &&
    schema.maximum !== undefined &&
    Number.isSafeInteger(schema.maximum) &&
    schema.maximum < Number.MAX_SAFE_INTEGER
      ? `${schema.minimum} to ${schema.maximum}.`
      : undefined;
  const byDefault = schema.default === undefined ? undefined : `Default: \`${JSON.stringify(schema.default)}\`.`;
  const parts = [schema.description && `${schema.description}.`, range, byDefault].filter(Boolean);
  return parts.length > 0 ? parts.join(' ') : undefined;
}

function comment(text: string | undefined): string {
  return text ? `/** ${text.replaceAll('*/', '*\\/')} */\n` : '';
}
