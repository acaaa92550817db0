import * as z from 'zod';

import { Config } from './config.ts';
import type { ConfigKey, SectionName } from './config.ts';

/** What is known about one key: the facts that reading, refusing and printing share, all taken from its schema. */
export interface Field {
  key: ConfigKey;
  section: SectionName;
  name: string;
  envName: string;
  schema: z.ZodType;
  allowed: string;
  isSecret: boolean;
}

/** Every key of the configuration, in the order of the schema. */
export const fields: readonly Field[] = Object.entries(Config.shape).flatMap(([section, { def }]) =>
  Object.entries(def.innerType.shape).map(([name, schema]) => toField(section as SectionName, name, schema)),
);

const fieldsByKey = new Map<string, Field>(fields.map((field) => [field.key, field]));

export const findField = (key: string): Field | undefined => fieldsByKey.get(key);

/** Where each effective value came from: a file, an environment variable, a start option or the built-in defaults. */
export type ConfigSources = Readonly<Record<ConfigKey, string>>;

/** Keys with their effective values, unset ones included. */
export const listValues = (config: Config): { field: Field; value: unknown }[] =>
  fields.map((field) => ({ field, value: new Map(Object.entries(config[field.section])).get(field.name) }));

function toField(
  section: SectionName,
  name: string,
  withDefault: z.ZodDefault<z.ZodType> | z.ZodOptional<z.ZodType>,
): Field {
  const schema = withDefault.unwrap();
  return {
    key: `${section}.${name}` as ConfigKey, // both halves come from Config's own shape
    section,
    name,
    envName: `APP_${section}_${name}`.toUpperCase(),
    schema,
    allowed: schema.description ?? schema.def.type,
    isSecret: schema.meta()?.['isSecret'] === true,
  };
}
