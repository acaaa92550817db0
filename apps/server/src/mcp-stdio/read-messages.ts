/** The messages of an answer of streamable HTTP, as they come: one as JSON, or several as server-sent events. */
export async function* readMessages(response: Response): AsyncGenerator<object> {
  const type = response.headers.get('content-type') ?? '';
  if (type.includes('text/event-stream')) return yield* readEvents(response);
  const text = await response.text();
  if (text === '') return;
  const body: unknown = JSON.parse(text);
  for (const message of Array.isArray(body) ? body : [body]) if (isMessage(message)) yield message;
}

async function* readEvents({ body }: Response): AsyncGenerator<object> {
  if (body === null) return;
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const events = text.split(/\r?\n\r?\n/);
    text = events.pop() ?? '';
    for (const event of events) {
      const data = readData(event);
      if (data !== '') yield JSON.parse(data) as object;
    }
  }
}

function readData(event: string): string {
  return event
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trimStart())
    .join('\n');
}

function isMessage(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
