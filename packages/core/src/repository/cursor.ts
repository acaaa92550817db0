import { invalidField } from '../domain-error.ts';

/** Cursors of lists are the growing key of the last row, as text. */
export function readCursor(cursor: string): number {
  const seq = Number(cursor);
  if (!/^\d{1,16}$/.test(cursor) || !Number.isSafeInteger(seq)) {
    throw invalidField('cursor', 'must be the next_cursor of an earlier answer');
  }
  return seq;
}
