import { KEY } from '../start-app.ts';

/** A `subscriptions/listen` stream and what it has said so far. */
export function listen(url: string, resourceSubscriptions: string[], key: string = KEY) {
  const leaving = new AbortController();
  const acknowledged = Promise.withResolvers<void>();
  const seen: { method?: string; params?: { uri?: string }; result?: unknown }[] = [];
  const uris: string[] = [];
  async function follow() {
    const response = await fetch(new URL('/mcp', url), {
      method: 'POST',
      signal: leaving.signal,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'subscriptions/listen',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 'sub',
        method: 'subscriptions/listen',
        params: {
          notifications: { resourceSubscriptions },
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      }),
    });
    let text = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines.filter((line) => line.startsWith('data: '))) {
        const frame = JSON.parse(line.slice(6)) as (typeof seen)[number];
        seen.push(frame);
        if (frame.method === 'notifications/subscriptions/acknowledged') acknowledged.resolve();
        if (frame.method === 'notifications/resources/updated') uris.push(frame.params?.uri ?? '');
      }
    }
    return seen;
  }
  const frames = follow().catch(() => seen);
  return { frames, uris, acknowledged: acknowledged.promise, stop: () => leaving.abort() };
}
