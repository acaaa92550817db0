import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Refusal } from '../refusal.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** JSON text, in one piece or several. Who wraps a long text need not copy it. */
export type JsonText = string | readonly string[];

/** Longer texts are turned into bytes at once: Node would copy them twice on its way there. */
const SHORT = 16_384;

/** Answers JSON text as it is, past Fastify: there is nothing to serialise and no hook to run. */
export function sendJson(reply: FastifyReply, status: number, json: JsonText): void {
  const { raw } = reply;
  const headers = reply.getHeaders() as OutgoingHttpHeaders;
  headers['content-type'] = JSON_TYPE;
  const body = toBody(typeof json === 'string' ? [json] : json);
  headers['content-length'] = Buffer.byteLength(body);
  reply.hijack();
  raw.writeHead(status, headers);
  raw.end(body);
}

function toBody(pieces: readonly string[]): string | Buffer {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (length <= SHORT) return pieces.join('');
  const body = Buffer.allocUnsafe(pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0));
  let end = 0;
  for (const piece of pieces) end += body.write(piece, end);
  return body;
}

/** Answers a refusal, with the headers that belong to it. */
export function sendRefusal(reply: FastifyReply, refusal: Refusal, json: JsonText): void {
  if (refusal.retryAfterSeconds !== undefined) reply.header('retry-after', refusal.retryAfterSeconds);
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
  sendJson(reply, refusal.status, json);
}
