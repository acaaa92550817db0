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
  if (depthOf(text) > MAX_DEPTH) throw invalidField(field, `must not be nested deeper than ${MAX_DEPTH} levels`);
  // Plainly or in escapes.
  if (text.includes('__proto__') || text.includes('\\u')) refusePrototypes(value);
  return value;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** How deep objects and arrays are nested in valid JSON. */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(json, at);
        break;
      case 0x7b: // {
      case 0x5b: // [
        deepest = Math.max(deepest, ++depth);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
    }
  }
  return deepest;
}

/** Where the string that starts at `start` has its closing quote. */
function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let escapes = 0;
    while (json.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return json.length;
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

/** As a key of data `__proto__` is harmless, but one careless copy later it changes a prototype. */
function refusePrototypes(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) refusePrototypes(item);
    return;
  }
  for (const key in value) {
    if (key === '__proto__') throw invalidField('__proto__', 'is not allowed as a key');
    refusePrototypes((value as Record<string, unknown>)[key]);
  }
}
