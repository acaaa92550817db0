/** A result is never longer: clients cut or drop what is. In UTF-16 units of its JSON. */
export const RESULT_MAX_CHARS = 20_000;

/** How many units of `text` fit into `maxChars` of JSON, from `from` on; never half a character. */
function fittingLength(text: string, from: number, maxChars: number): number {
  let end = Math.min(text.length, from + maxChars);
  while (end > from && JSON.stringify(text.slice(from, end)).length > maxChars) {
    const over = JSON.stringify(text.slice(from, end)).length - maxChars;
    // An escape takes at most six units for one.
    end -= Math.max(1, Math.floor(over / 6));
  }
  const last = text.charCodeAt(end - 1);
  return end < text.length && last >= 0xd800 && last <= 0xdbff ? end - 1 - from : end - from;
}

/**
 * The part of a text that fits into `maxChars` of JSON, with a marker that says what is missing and how to get it.
 * @param more for the rest: what to ask, given where it begins.
 */
export function cutText(text: string, maxChars: number, more: (offset: number) => string, from = 0): string {
  if (from === 0 && JSON.stringify(text).length <= maxChars) return text;
  const length = fittingLength(text, from, maxChars);
  const end = from + length;
  if (end >= text.length) return text.slice(from);
  return `${text.slice(from, end)}\n[CUT: characters ${from}-${end} of ${text.length}; for the rest call ${more(end)}]`;
}

/** The first line, at most `maxChars` of it. */
export function toTitle(text: string, maxChars = 80): string {
  const line = text.trimStart().split('\n', 1)[0] ?? '';
  return shorten(line, maxChars);
}

export function shorten(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars - 1).toWellFormed()}…`;
}

/** A JSON value as it is while it is short; else its JSON, cut. */
export function cutJson(value: unknown, maxChars: number, more: (offset: number) => string, from = 0): unknown {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (from === 0 && JSON.stringify(value ?? null).length <= maxChars) return value;
  return cutText(text, maxChars, more, from);
}
