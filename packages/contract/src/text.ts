import { z } from 'zod';

/** Text that every database can hold: no NUL, and well-formed Unicode (a lone surrogate becomes U+FFFD). */
export const Text = z
  .string()
  .refine((text) => !text.includes('\0'), 'must not contain NUL characters')
  .overwrite((text) => (text.isWellFormed() ? text : text.toWellFormed()));

/** Text of 1 to `max` characters. */
export function shortText(max: number) {
  return Text.min(1, 'must not be empty').max(max, `must have at most ${max} characters`);
}
