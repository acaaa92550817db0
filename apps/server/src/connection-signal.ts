import type { FastifyReply } from 'fastify';

/** Aborts when the client goes away before the answer is complete. */
export function connectionSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const { raw } = reply;
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
