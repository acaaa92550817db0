import { DomainError, invalidField } from '@task-orchestrator/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Admit } from '../../admission.ts';
import { connectionSignal } from '../../connection-signal.ts';
import { contextOf } from '../../operation-context.ts';
import { isWaiting, type Endpoint } from '../../operations.ts';
import { readJson } from '../../read-json.ts';
import type { Record as RecordRequest, RecorderOf } from '../../record-request.ts';
import { toRefusal, type Refusal } from '../../refusal.ts';
import { validateInput } from '../../validate.ts';
import { sendJson, sendRefusal } from '../json-answer.ts';
import { toErrorShape } from './error-shape.ts';
import type { AnswerStream } from './streams.ts';

/** Calls in one request; unlimited, a URL of commas would be work and answer a thousand times its size. */
export const MAX_BATCH = 100;

interface Procedure {
  endpoint: Endpoint;
  record: RecordRequest;
}

/** What came of one call, as JSON text in pieces. */
interface Answer {
  status: number;
  json: readonly string[];
  refusal?: Refusal;
}

/**
 * tRPC at `/trpc`. Calls and batches are answered here, since tRPC's adapter takes five times as long; subscriptions and
 * streamed batches go to the adapter. The protocol: https://trpc.io/docs/rpc.
 */
export function registerTrpcRoutes(
  app: FastifyInstance,
  services: { endpoints: readonly Endpoint[]; admit: Admit; recorderOf: RecorderOf },
): void {
  const { endpoints, admit, recorderOf } = services;
  const procedures = new Map(endpoints.map((endpoint) => [endpoint.name, toProcedure(endpoint, recorderOf)]));
  const recordOther = recorderOf('other', 'none');
  let streams: Promise<AnswerStream> | undefined;

  const isPublic = (path: string) => procedures.get(path)?.endpoint.operation.isPublic === true;

  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = toRefusal(error, request.id);
    sendRefusal(reply, refusal, JSON.stringify({ error: toErrorShape(refusal) }));
    recordOther(request, { status: refusal.status, refusal });
  };

  const answerStream: AnswerStream = async (request, reply) => {
    streams ??= import('./streams.ts').then((file) => file.createStreams({ endpoints, recordOther }));
    return (await streams)(request, reply);
  };

  app.route({
    method: ['GET', 'POST'],
    url: '/trpc/:path',
    exposeHeadRoute: false,
    onRequest(request, reply, done) {
      const paths = pathsOf(request);
      if (paths.every(isPublic)) done();
      else admit(request, reply, paths.length, done);
    },
    errorHandler: refuse,
    handler(request, reply) {
      const paths = pathsOf(request);
      if (paths.length > MAX_BATCH) throw invalidField('path', `must have at most ${MAX_BATCH} calls`);
      if (wantsStream(request) || procedures.get(pathOf(request))?.endpoint.kind === 'subscription') {
        return answerStream(request, reply);
      }
      const signalOf = createSignalOf(reply);
      if (!isBatch(request)) {
        const input = readInput(request);
        return void answerCall({ path: pathOf(request), input, request, signalOf, procedures }).then((answer) =>
          sendAnswer(reply, answer),
        );
      }
      const inputs = readBatchInputs(request);
      const answers = paths.map((path, index) =>
        answerCall({ path, input: inputs[index], request, signalOf, procedures }),
      );
      return void Promise.all(answers).then((all) => sendAnswers(reply, all));
    },
  });
}

function toProcedure(endpoint: Endpoint, recorderOf: RecorderOf): Procedure {
  return { endpoint, record: recorderOf(endpoint.kind === 'query' ? 'GET' : 'POST', endpoint.name) };
}

async function answerCall(call: {
  path: string;
  input: unknown;
  request: FastifyRequest;
  signalOf: () => AbortSignal;
  procedures: ReadonlyMap<string, Procedure>;
}): Promise<Answer> {
  const { path, input, request, signalOf, procedures } = call;
  const procedure = procedures.get(path);
  let waits = false;
  try {
    const { endpoint } = procedure ?? refuseUnknown();
    if (endpoint.kind === 'subscription')
      throw new DomainError('METHOD_NOT_ALLOWED', 'A subscription travels alone, by GET');
    if (endpoint.kind === 'mutation' && request.method === 'GET') {
      throw new DomainError('METHOD_NOT_ALLOWED', 'A mutation travels by POST');
    }
    const valid = validateInput(endpoint.operation, input ?? {});
    waits = isWaiting(valid);
    const answer = await endpoint.run(valid, contextOf(request, waits ? signalOf() : undefined), toAnswer);
    procedure?.record(request, { status: 200, isWaiting: waits });
    return answer;
  } catch (error) {
    const refusal = toRefusal(error, request.id);
    const { status } = refusal;
    procedure?.record(request, { status, refusal, isWaiting: waits });
    return { status, json: [JSON.stringify({ error: toErrorShape(refusal, path) })], refusal };
  }
}

function toAnswer(data: unknown): Answer {
  return { status: 200, json: ['{"result":{"data":', JSON.stringify(data), '}}'] };
}

function refuseUnknown(): never {
  throw new DomainError('NOT_FOUND', 'No such operation');
}

function sendAnswer(reply: FastifyReply, { status, json, refusal }: Answer): void {
  if (refusal) sendRefusal(reply, refusal, json);
  else sendJson(reply, status, json);
}

function sendAnswers(reply: FastifyReply, answers: readonly Answer[]): void {
  const [first] = answers;
  const isUniform = answers.every(({ status }) => status === first?.status);
  const json = answers.flatMap((answer, index) => [index === 0 ? '[' : ',', ...answer.json]);
  sendAnswer(reply, { status: MULTI_STATUS, ...(isUniform && first), json: [...json, ']'] });
}

const MULTI_STATUS = 207;

/** One signal a request, made when the first call of it waits. */
function createSignalOf(reply: FastifyReply): () => AbortSignal {
  let signal: AbortSignal | undefined;
  return () => (signal ??= connectionSignal(reply));
}

export function pathOf(request: FastifyRequest): string {
  return (request.params as { path: string }).path;
}

function pathsOf(request: FastifyRequest): string[] {
  return isBatch(request) ? pathOf(request).split(',') : [pathOf(request)];
}

function isBatch(request: FastifyRequest): boolean {
  return (request.query as { batch?: string }).batch === '1';
}

function wantsStream({ headers }: FastifyRequest): boolean {
  return headers['trpc-accept'] === 'application/jsonl' || headers.accept?.includes('application/jsonl') === true;
}

function readInput(request: FastifyRequest): unknown {
  if (request.method === 'POST') return request.body;
  const { input } = request.query as { input?: string | string[] };
  return typeof input === 'string' ? readJson(input, 'input') : undefined;
}

function readBatchInputs(request: FastifyRequest): Record<string, unknown> {
  const inputs = readInput(request) ?? {};
  if (typeof inputs !== 'object' || Array.isArray(inputs))
    throw invalidField('input', 'must be an object of inputs by index');
  return inputs as Record<string, unknown>;
}
