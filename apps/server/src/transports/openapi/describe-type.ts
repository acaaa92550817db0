import type { JsonSchema } from './component-schemas.ts';
import { html, type Html } from './html.ts';

/** A schema in a few words, such as `string · 1 to 255 characters`; named schemas link to their section. */
export function describeType(schema: JsonSchema): Html {
  const name = schema.$ref?.split('/').at(-1);
  if (name !== undefined) return html`<a href="#schema-${name}">${name}</a>`;
  const options = schema.anyOf;
  if (options) return html`${options.map((option, index) => [index > 0 && ' or ', describeType(option)])}`;
  if (schema.type === 'array') {
    const size = bounds(schema.minItems, schema.maxItems, 'item');
    return html`list of ${describeType(itemsOf(schema))}${size && `, ${size}`}`;
  }
  if ('const' in schema) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum)
    return html`${schema.enum.map((value, index) => [index > 0 && ' | ', html`<code>${String(value)}</code>`])}`;
  const notes = [schema.format ?? '', boundsOf(schema)].filter((note) => note !== '').join(', ');
  return html`${String(schema.type ?? 'any JSON')}${notes && ` (${notes})`}`;
}

function itemsOf({ items }: JsonSchema): JsonSchema {
  return typeof items === 'object' && !Array.isArray(items) ? items : {};
}

function boundsOf({ minLength, maxLength, minimum, maximum }: JsonSchema): string {
  return bounds(minLength, maxLength, 'character') || bounds(minimum, maximum, '');
}

function bounds(least: number | undefined, most: number | undefined, unit: string): string {
  if (least === undefined && most === undefined) return '';
  const number = (value = 0) => value.toLocaleString('en');
  const range =
    most === undefined
      ? `at least ${number(least)}`
      : least === undefined
        ? `at most ${number(most)}`
        : `${number(least)} to ${number(most)}`;
  const isOne = (most ?? least) === 1;
  return unit === '' ? range : `${range} ${unit}${isOne ? '' : 's'}`;
}
