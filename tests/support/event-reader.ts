import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import type { TaskEvent } from '@task-orchestrator/client';
import { API_KEY, type ServerProcess } from './server-process.ts';

/**
 * A reader of `GET /api/v1/events` that is written after the specification of server-sent events alone, and knows
 * nothing of the SDK: after a break it goes on where the last whole event was.
 */
export class EventReader {
  readonly events: TaskEvent[] = [];
  /** How often a stream stood. */
  connections = 0;
  lastEventId: string;
  readonly #server: ServerProcess;
  #response: IncomingMessage | null = null;

  /** @param lastEventId `0` begins with the first event there is. */
  constructor(server: ServerProcess, lastEventId = '0') {
    this.#server = server;
    this.lastEventId = lastEventId;
  }

  /** Opens the stream and reads until it ends, by whoever's doing. @throws when no stream comes about. */
  async read(): Promise<void> {
    await this.consume(await this.connect());
  }

  /** Reads what `connect` has opened. */
  async consume(response: IncomingMessage): Promise<void> {
    let rest = '';
    response.setEncoding('utf8');
    try {
      for await (const chunk of response) {
        const blocks = (rest + String(chunk)).split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) this.#take(block);
      }
    } catch {
      // Broken off in the middle: what was not whole comes again.
    }
  }

  /** Opens the stream without reading it. */
  async connect(): Promise<IncomingMessage> {
    const request = get(`${this.#server.url}/api/v1/events`, {
      agent: false,
      headers: { authorization: `Bearer ${API_KEY}`, 'last-event-id': this.lastEventId },
    });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    request.on('error', () => {});
    if (response.statusCode !== 200) throw new Error(`the stream was answered with ${response.statusCode}`);
    this.connections++;
    this.#response = response;
    return response;
  }

  disconnect(): void {
    this.#response?.destroy();
  }

  #take(block: string): void {
    const fields = new Map(block.split('\n').map((line) => splitAt(line, ': ')));
    // Also of a block without data: https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
    this.lastEventId = fields.get('id') ?? this.lastEventId;
    const data = fields.get('data');
    if (data !== undefined) this.events.push(JSON.parse(data) as TaskEvent);
  }
}

function splitAt(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return [line.slice(0, at), line.slice(at + separator.length)];
}
