/** Headers of answers, as components of the document. */
export const answerHeaders = {
  'RateLimit-Policy': { description: 'How many requests a minute the key has', schema: { type: 'string' } },
  RateLimit: { description: 'How many are left, and seconds until all are there again', schema: { type: 'string' } },
  'Retry-After': { description: 'Seconds after which to try again', schema: { type: 'integer' } },
} as const;

/** References to headers of the components. */
export function referToHeaders(names: readonly (keyof typeof answerHeaders)[]): Record<string, { $ref: string }> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
