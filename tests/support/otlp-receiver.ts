import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { readFields, type Field } from './protobuf.ts';

export interface ReceivedSpan {
  service: string;
  traceId: string;
  spanId: string;
  /** Empty for a span that begins a trace. */
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  /** Nanoseconds. */
  startedAt: bigint;
  endedAt: bigint;
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  isError: boolean;
}

/** A collector for OTLP over HTTP that keeps what it is sent. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** All that has arrived, to look for what must not. */
  readonly payloads: Buffer[] = [];
  /** Answers nothing from now on: as a collector that hangs. */
  isHanging = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      if (this.isHanging) return;
      void buffer(request).then((body) => {
        this.payloads.push(body);
        this.spans.push(...readSpans(body));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    onTestFinished(() => receiver.close());
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto */
function readSpans(request: Buffer): ReceivedSpan[] {
  return messages(readFields(request), 1).flatMap((resourceSpans) => {
    const [resource = []] = messages(resourceSpans, 1);
    const service = String(readAttributes(messages(resource, 1))['service.name']);
    return messages(resourceSpans, 2).flatMap((scope) => messages(scope, 2).map((span) => readSpan(span, service)));
  });
}

function readSpan(span: Field[], service: string): ReceivedSpan {
  const [status = []] = messages(span, 15);
  return {
    service,
    traceId: hex(span, 1),
    spanId: hex(span, 2),
    parentSpanId: hex(span, 4),
    name: text(span, 5),
    kind: Number(number(span, 6)),
    startedAt: number(span, 7),
    endedAt: number(span, 8),
    attributes: readAttributes(messages(span, 9)),
    links: messages(span, 13).map((link) => ({ traceId: hex(link, 1), spanId: hex(link, 2) })),
    isError: number(status, 3) === 2n,
  };
}

function readAttributes(pairs: Field[][]): Record<string, unknown> {
  return Object.fromEntries(pairs.map((pair) => [text(pair, 1), readValue(messages(pair, 2)[0] ?? [])]));
}

function readValue([field]: Field[]): unknown {
  if (!field) return undefined;
  return field.value instanceof Buffer ? field.value.toString() : Number(field.value);
}

function messages(fields: readonly Field[], id: number): Field[][] {
  return all(fields, id).map((value) => readFields(value));
}

function all(fields: readonly Field[], id: number): Buffer[] {
  return fields.flatMap((field) => (field.id === id && field.value instanceof Buffer ? [field.value] : []));
}

function text(fields: readonly Field[], id: number): string {
  return all(fields, id)[0]?.toString() ?? '';
}

function hex(fields: readonly Field[], id: number): string {
  return all(fields, id)[0]?.toString('hex') ?? '';
}

function number(fields: readonly Field[], id: number): bigint {
  const value = fields.find((field) => field.id === id)?.value;
  return typeof value === 'bigint' ? value : 0n;
}
