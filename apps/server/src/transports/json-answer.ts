import type { FastifyReply } from 'fastify';
import type { Refusal } from '../refusal.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Answers JSON text as it is. */
export function sendJson(reply: FastifyReply, status: number, json: string): void {
  reply.statusCode = status;
  reply.header('content-type', JSON_TYPE);
  reply.send(json);
}

/** Answers a refusal, with the headers that belong to it. */
export function sendRefusal(reply: FastifyReply, refusal: Refusal, json: string): void {
  if (refusal.retryAfterSeconds !== undefined) reply.header('retry-after', refusal.retryAfterSeconds);
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
  sendJson(reply, refusal.status, json);
}
