/** One message of a stream; `data` is null when a message only moves the position. */
export interface ServerSentEvent {
  readonly id: string | null;
  readonly data: string | null;
}

/**
 * Reads a `text/event-stream`, no faster than the messages are taken.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 * @param onBytes called whenever something arrives, comments included.
 */
export async function* readServerSentEvents(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void = () => {},
): AsyncGenerator<ServerSentEvent, void, undefined> {
  let id: string | null = null;
  let data: string[] = [];
  for await (const line of readLines(body, onBytes)) {
    if (line === '') {
      if (data.length > 0 || id !== null) yield { id, data: data.length > 0 ? data.join('\n') : null };
      id = null;
      data = [];
      continue;
    }
    const [, field, value] = FIELD.exec(line) ?? [];
    if (field === 'id') id = value ?? '';
    if (field === 'data') data.push(value ?? '');
  }
}

const FIELD = /^([^:]+)(?:: ?(.*))?$/s;

/** Complete lines only: what a broken connection cut off is not a line. */
async function* readLines(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
  } finally {
    // Also when the reader of the events leaves: ends the connection.
    await reader.cancel().catch(() => {});
  }
}
