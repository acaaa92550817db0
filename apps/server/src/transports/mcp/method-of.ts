/** The method whose answer is a stream of changes, for as long as the client wants. */
export const LISTEN = 'subscriptions/listen';

/** Of a message that nobody has checked yet; empty for a batch. */
export function methodOf(body: unknown): string {
  const { method } = (body ?? {}) as { method?: unknown };
  return typeof method === 'string' ? method : '';
}
