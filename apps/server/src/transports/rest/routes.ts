import { HTTP_STATUS, type Health, type StreamInput, type TaskEvent } from '@task-orchestrator/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Admit } from '../../admission.ts';
import { connectionSignal } from '../../connection-signal.ts';
import { contextOf } from '../../operation-context.ts';
import { isWaiting, type CallEndpoint, type Endpoint, type StreamEndpoint } from '../../operations.ts';
import type { Record, RecorderOf } from '../../record-request.ts';
import { toRefusal } from '../../refusal.ts';
import { validateInput } from '../../validate.ts';
import { sendJson, sendRefusal, type JsonText } from '../json-answer.ts';
import { wrapData, wrapError } from './envelope.ts';
import { sendEventStream } from './event-stream.ts';
import { createInputReader } from './input-reader.ts';

export interface RestServices {
  endpoints: readonly Endpoint[];
  admit: Admit;
  recorderOf: RecorderOf;
  /** Where a stream that starts now begins. */
  eventPosition: () => Promise<string>;
}

/** One route an operation. */
export function registerRestRoutes(app: FastifyInstance, services: RestServices): void {
  for (const endpoint of services.endpoints) app.route(toRoute(endpoint, services));
}

/** Answers a refusal in the envelope and records it; also for requests that found no route. */
export function createRestRefuser(record: Record) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const refusal = toRefusal(error, request.id);
    sendRefusal(reply, refusal, wrapError(refusal.body));
    record(request, { status: refusal.status, refusal });
  };
}

/** Only reads may be asked for by HEAD: `GET /tasks/next` acquires. */
function toRoute(endpoint: Endpoint, { admit, recorderOf, eventPosition }: RestServices): RouteOptions {
  const { name, operation } = endpoint;
  const record = recorderOf(operation.method, name);
  const refuse = createRestRefuser(record);
  return {
    method: operation.method,
    url: toRouteUrl(operation.path),
    exposeHeadRoute: endpoint.kind === 'query' && operation.method === 'GET',
    ...(!operation.isPublic && { onRequest: (request, reply, done) => admit(request, reply, 1, done) }),
    errorHandler: refuse,
    handler:
      endpoint.kind === 'subscription'
        ? toStreamHandler(endpoint, { record, refuse, eventPosition })
        : toCallHandler(endpoint, record, refuse),
  };
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;
type Refuse = ReturnType<typeof createRestRefuser>;
interface Answer {
  status: number;
  json: JsonText;
}

function toCallHandler({ operation, run }: CallEndpoint, record: Record, refuse: Refuse): Handler {
  const readInput = createInputReader(operation);
  const prepare = operation.isBare ? toBareAnswer : toAnswer;
  return (request, reply) => {
    const input = validateInput(operation, readInput(request));
    const waits = isWaiting(input);
    run(input, contextOf(request, waits ? connectionSignal(reply) : undefined), prepare).then(
      ({ status, json }) => {
        sendJson(reply, status, json);
        record(request, { status, isWaiting: waits });
      },
      (error: unknown) => refuse(error, request, reply),
    );
  };
}

function toAnswer(output: unknown): Answer {
  return { status: 200, json: wrapData(output) };
}

/** A bare answer has no place for an error, so its HTTP status says whether all is well. */
function toBareAnswer(output: unknown): Answer {
  const isUnhealthy = (output as Health).status === 'unhealthy';
  return { status: isUnhealthy ? HTTP_STATUS.UNAVAILABLE : 200, json: JSON.stringify(output) };
}

function toStreamHandler(
  { operation, run }: StreamEndpoint,
  { record, refuse, eventPosition }: { record: Record; refuse: Refuse; eventPosition: () => Promise<string> },
): Handler {
  const readInput = createInputReader(operation);
  return (request, reply) => {
    const input = validateInput(operation, readInput(request)) as StreamInput;
    const signal = connectionSignal(reply);
    const send = (start: string): void => {
      const { caller } = request;
      const events = run({ ...input, last_event_id: start }, { caller, signal }) as AsyncIterable<TaskEvent>;
      sendEventStream({ reply, events: toServerSentEvents(events), start, signal }).then(
        () => record(request, { status: 200, isWaiting: true }),
        (error: unknown) => {
          const refusal = toRefusal(error, request.id);
          record(request, { status: refusal.status, isWaiting: true, refusal });
        },
      );
    };
    const position = input.last_event_id === undefined ? eventPosition() : Promise.resolve(input.last_event_id);
    position.then(send).catch((error: unknown) => refuse(error, request, reply));
  };
}

async function* toServerSentEvents(events: AsyncIterable<TaskEvent>) {
  for await (const data of events) yield { id: data.event_id, event: data.type, data };
}

function toRouteUrl(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
