import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/processes.ts';

export function readDocument(name: string): string {
  return readFileSync(join(ROOT, name), 'utf8');
}

/** The bodies of the fenced blocks of a language, in order. */
export function listBlocks(markdown: string, language: string): string[] {
  const blocks = markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...blocks].filter(([, found]) => found === language).map(([, , body = '']) => body);
}

/** The rows of the first table under a heading, as the text of their cells. */
export function readTable(markdown: string, heading: string): string[][] {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (start < 0) throw new Error(`there is no heading "${heading}"`);
  const first = lines.findIndex((line, index) => index > start && line.startsWith('|'));
  const rows = lines.slice(first + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map(toCells);
}

/** What stands in backticks, in order; fenced blocks aside. */
export function codesOf(markdown: string | undefined): string[] {
  const prose = (markdown ?? '').replaceAll(/^```.*?^```$/gms, '');
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
}

/** The first of them, or nothing. */
export function codeOf(cell: string | undefined): string {
  return codesOf(cell)[0] ?? '';
}

function toCells(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}
