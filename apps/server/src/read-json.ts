import { isUtf8 } from 'node:buffer';
import { invalidField } from '@task-orchestrator/core';

/** Deeper values would overflow the stack of those who write them as JSON again. */
const MAX_DEPTH = 100;

/** Parses a request body; an empty one is `undefined`. Throws `VALIDATION_ERROR` for what is no JSON, or dangerous JSON. */
export function readJsonBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw invalidField('body', 'must be UTF-8');
  return readJson(body.toString('utf8'), 'body');
}

/** Parses JSON text; refusals call it `field`. */
export function readJson(text: string, field: string): unknown {
  const value = parse(text, field);
  if (mayBeDangerous(text)) checkNesting(value, field, MAX_DEPTH);
  return value;
}

/** A quick look at the text: most bodies are too simple to be nested deep, and name no prototype, plainly or in escapes. */
function mayBeDangerous(text: string): boolean {
  return text.includes('__proto__') || text.includes('\\u') || countUpTo(text, '{') + countUpTo(text, '[') > MAX_DEPTH;
}

function countUpTo(text: string, bracket: string): number {
  let count = 0;
  for (let at = text.indexOf(bracket); at !== -1 && count <= MAX_DEPTH; at = text.indexOf(bracket, at + 1)) count += 1;
  return count;
}

function parse(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The engine's message quotes the text, which may hold a prompt; where it went wrong is enough.
    const position = /at position \d+( \(line \d+ column \d+\))?/.exec(String(error))?.[0] ?? 'at its end';
    throw invalidField(field, `is not valid JSON ${position}`);
  }
}

/** `__proto__` is refused: as a key of data it is harmless, but one careless copy later it changes a prototype. */
function checkNesting(value: unknown, field: string, depthLeft: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depthLeft === 0) throw invalidField(field, `must not be nested deeper than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    for (const item of value) checkNesting(item, field, depthLeft - 1);
    return;
  }
  for (const key in value) {
    if (key === '__proto__') throw invalidField('__proto__', 'is not allowed as a key');
    checkNesting((value as Record<string, unknown>)[key], field, depthLeft - 1);
  }
}
