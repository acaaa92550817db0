import { CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, type ServerContext } from '@modelcontextprotocol/server';

/** What a modern client says of itself with every request. */
export interface Envelope {
  readonly [CLIENT_INFO_META_KEY]?: { readonly name: string };
  readonly [CLIENT_CAPABILITIES_META_KEY]?: { readonly extensions?: Readonly<Record<string, unknown>> };
}

/** Empty in the legacy era. The SDK has checked it against the specification's schema, and leaves its type open. */
export function envelopeOf({ mcpReq }: ServerContext): Envelope {
  return (mcpReq.envelope ?? {}) as Envelope;
}
