import { maskUrlPassword } from './database-url.ts';
import { findField } from './fields.ts';

/**
 * One line of text for a value, without its secrets. An unknown key may be a misspelt secret, so a name that sounds
 * like one is masked too, and tables are never shown.
 */
export const showValue = (key: string, value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => showValue(key, item)).join(', ')}]`;
  if (isSecretKey(key)) return '"***"';
  if (typeof value === 'string') return JSON.stringify(maskUrlPassword(value));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '{…}';
};

export const isSecretKey = (key: string): boolean => findField(key)?.isSecret ?? /key|secret|token|pass|pwd/i.test(key);
