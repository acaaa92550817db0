import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';

const SESSION = 'mcp-session-id';

/**
 * Lets a legacy client take a call back. It says so in a request of its own, so both must tell whose they are: that is all
 * the session id is for. Nothing is kept behind it, and any id is taken as it comes, also one that another server gave.
 */
export function createCancellations() {
  const calls = new Map<string, FastifyReply>();
  return {
    /** To be called for every request, before it is answered. */
    follow(request: FastifyRequest, reply: FastifyReply): void {
      const messages = [request.body].flat() as readonly (Message | null)[];
      if (messages.some((message) => message?.method === 'initialize')) reply.raw.setHeader(SESSION, randomUUID());
      const session = request.headers[SESSION];
      if (typeof session !== 'string') return;
      const keyOf = (id: unknown) => JSON.stringify([request.caller?.key_id, session, id]);
      for (const message of messages) {
        if (message?.method === 'notifications/cancelled') {
          // Its signal aborts with the answer's end.
          calls.get(keyOf(message.params?.requestId))?.raw.end();
        } else if (message?.id !== undefined) {
          const key = keyOf(message.id);
          calls.set(key, reply);
          reply.raw.once('close', () => {
            if (calls.get(key) === reply) calls.delete(key);
          });
        }
      }
    },
  };
}

interface Message {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: { readonly requestId?: unknown };
}
