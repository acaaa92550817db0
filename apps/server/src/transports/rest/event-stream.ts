import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

const PING_MS = 15_000;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  // Tells nginx not to collect events into blocks.
  'x-accel-buffering': 'no',
};

export interface ServerSentEvent {
  id: string;
  event: string;
  data: unknown;
}

/** Writes events as they come, at the pace the client reads them, until they end or the client goes away. */
export async function sendEventStream(options: {
  reply: FastifyReply;
  events: AsyncIterable<ServerSentEvent>;
  /** Where the stream begins: a client that loses it before the first event goes on from here. */
  start: string;
  signal: AbortSignal;
  pingMs?: number;
}): Promise<void> {
  const { reply, events, start, signal, pingMs = PING_MS } = options;
  const { raw } = reply;
  reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders())) raw.setHeader(name, value ?? '');
  raw.writeHead(200, HEADERS);
  raw.write(`: open\nid: ${start}\n\n`);
  const ping = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write(': ping\n\n');
  }, pingMs);
  try {
    for await (const event of events) {
      if (!raw.write(toText(event))) await drained(raw, signal);
    }
  } finally {
    clearInterval(ping);
    raw.end();
  }
}

function toText({ id, event, data }: ServerSentEvent): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function drained(raw: ServerResponse, signal: AbortSignal): Promise<void> {
  try {
    await once(raw, 'drain', { signal });
  } catch (error) {
    // The stream of events ends by the same signal.
    if (!signal.aborted) throw error;
  }
}
