import { expect } from 'vitest';

/**
 * Compares what a command printed with what a document shows: JSON by its content, text line by line. Times may
 * differ, ids too, as long as the same one stays the same. `…` in the document stands for members of an object, or
 * for a part of a text.
 */
export class OutputComparer {
  readonly #realIdOf = new Map<string, string>();
  readonly #shownIdOf = new Map<string, string>();

  compare({ shown, printed, command }: { shown: string; printed: string; command: string }): void {
    const expected = splitOutput(shown);
    const actual = splitOutput(printed);
    expect(actual.length, `${command}\nprinted\n${printed}`).toBe(expected.length);
    expected.forEach((part, index) => this.#compareValues(readPart(part), readPart(actual[index]!), command));
  }

  #compareValues(shown: unknown, real: unknown, place: string): void {
    if (typeof shown === 'string' && typeof real === 'string') return this.#compareTexts(shown, real, place);
    if (!isObject(shown) || !isObject(real)) return expect(real, place).toEqual(shown);
    const names = Object.keys(shown).filter((name) => name !== ELISION);
    const realNames = Object.keys(real);
    if (ELISION in shown) expect(realNames, place).toEqual(expect.arrayContaining(names));
    else expect(realNames.toSorted(), place).toEqual(names.toSorted());
    for (const name of names) this.#compareValues(shown[name], real[name], `${place}\n  at ${name}`);
  }

  #compareTexts(shown: string, real: string, place: string): void {
    for (const [index, shownId] of idsOf(shown).entries()) this.#bind(shownId, idsOf(real)[index] ?? '', place);
    const pattern = normalize(shown).split('…').map(escapeForRegExp).join('.*');
    expect(normalize(real), place).toMatch(new RegExp(`^${pattern}$`, 's'));
  }

  /** An id of the document stands for one real id, and no other stands for that. */
  #bind(shownId: string, realId: string, place: string): void {
    expect(this.#realIdOf.get(shownId) ?? realId, place).toBe(realId);
    expect(this.#shownIdOf.get(realId) ?? shownId, place).toBe(shownId);
    this.#realIdOf.set(shownId, realId);
    this.#shownIdOf.set(realId, shownId);
  }
}

const ELISION = '…';

/** Output that begins with `{` is one JSON text over several lines; anything else goes line by line. */
function splitOutput(output: string): string[] {
  const text = output.trim();
  if (text.startsWith('{')) return [text];
  return text.split('\n').filter((line) => line !== '');
}

function readPart(part: string): unknown {
  const json = /^(?:data: )?(\{.*)$/s.exec(part)?.[1];
  if (json === undefined) return part;
  return JSON.parse(json.replaceAll(/(?<=[{,]\s*)…(?=\s*[,}])/g, `"${ELISION}": null`));
}

/** A UUID, or a text that is a lease token and nothing else. */
const ID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|^[\w-]{22}$/g;
const TIME = /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z/g;
const KEY = /tok_[\w-]{43}/g;

function idsOf(text: string): string[] {
  return text.match(ID) ?? [];
}

function normalize(text: string): string {
  return text.replaceAll(ID, '<id>').replaceAll(TIME, '<time>').replaceAll(KEY, '<key>');
}

function escapeForRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
