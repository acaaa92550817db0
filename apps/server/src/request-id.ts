import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const SANE = /^[\w.:-]{1,128}$/;
const prefix = randomBytes(6).toString('base64url');
let count = 0;

/** The id that the caller gave, when it is fit for a header and a log line; else one that no other process gives. */
export function takeRequestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  if (typeof given === 'string' && SANE.test(given)) return given;
  count += 1;
  return `${prefix}-${count.toString(36)}`;
}
