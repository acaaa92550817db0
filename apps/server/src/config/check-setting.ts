import { refuseSetting } from './config-error.ts';
import type { ConfigError, Setting } from './config-error.ts';
import { fields, findField } from './fields.ts';
import { findNearest } from './nearest.ts';

/** Throws `ConfigError` for an unknown key or a value that its key does not allow, also when a later layer overrides it. */
export const checkSetting = (setting: Setting): void => {
  const field = findField(setting.key);
  if (!field) throw refuseUnknown(setting);
  if (!field.schema.safeParse(setting.value).success) throw refuseSetting(setting, `allowed is ${field.allowed}`);
};

/** Environment variables are named as they were written, and so are the names suggested for them. */
const refuseUnknown = (setting: Setting): ConfigError => {
  const isVariable = setting.key.startsWith('APP_');
  const key = isVariable ? setting.key.slice(4).toLowerCase().replace('_', '.') : setting.key;
  const nearest = findField(
    findNearest(
      key,
      fields.map((field) => field.key),
    ) ?? '',
  );
  const suggestion = nearest ? `, did you mean ${isVariable ? nearest.envName : nearest.key}?` : ';';
  return refuseSetting(setting, `unknown key${suggestion} allowed ${listAllowed(key.split('.')[0])}`, nearest?.key);
};

const listAllowed = (section: string | undefined): string => {
  const names = fields.filter((field) => field.section === section).map((field) => field.name);
  if (names.length > 0) return `in section ${section} are ${names.join(', ')}`;
  return `sections are ${[...new Set(fields.map((field) => field.section))].join(', ')}`;
};
