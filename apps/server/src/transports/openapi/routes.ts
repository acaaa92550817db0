import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { renderDocsPage } from './docs-page.ts';
import { docsStyle } from './docs-style.ts';
import { createOpenApiDocument } from './document.ts';

/** The OpenAPI document and the page made from it; both are made once, and need no key. */
export function registerOpenApiRoutes(app: FastifyInstance, { version }: { version: string }): void {
  // Made when first asked for: most servers never are.
  const document = once(() => createOpenApiDocument({ version }));
  const json = once(() => JSON.stringify(document()));
  const page = once(() => renderDocsPage(document()));
  const policy = contentSecurityPolicy();

  app.get('/openapi.json', { exposeHeadRoute: true }, (_request, reply) => {
    send(reply, 'application/json; charset=utf-8', json());
  });
  app.get('/docs', { exposeHeadRoute: true }, (_request, reply) => {
    reply.header('content-security-policy', policy).header('referrer-policy', 'no-referrer');
    send(reply, 'text/html; charset=utf-8', page());
  });
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

function send(reply: FastifyReply, type: string, text: string): void {
  reply.header('cache-control', 'no-cache').header('content-type', type).send(text);
}

/** Nothing is loaded and nothing runs; only the page's own style, told by its hash, applies. */
function contentSecurityPolicy(): string {
  const hash = createHash('sha256').update(docsStyle).digest('base64');
  return `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}
