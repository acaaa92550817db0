import type { Operation } from '@task-orchestrator/contract';
import { invalidField } from '@task-orchestrator/core';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { createQueryReader } from './query-reader.ts';

type Fields = Record<string, unknown>;

/** The input of an operation as its request carries it: query or JSON body, path parameters, mapped headers. Not yet validated. */
export type InputReader = (request: FastifyRequest) => unknown;

export function createInputReader(operation: Operation): InputReader {
  const readFields = operation.method === 'GET' ? readQueryOf(operation) : readBody;
  const pathFields = listPathFields(operation.path);
  const headerFields = Object.entries(operation.headers ?? {});
  if (pathFields.length === 0 && headerFields.length === 0) return readFields;
  return (request) => {
    const input = readFields(request);
    const params = request.params as Record<string, string>;
    for (const field of pathFields) setField(input, field, params[field], 'path');
    for (const [header, field] of headerFields) setField(input, field, request.headers[header], `${header} header`);
    return input;
  };
}

/** `/tasks/{task_id}/logs` has the field `task_id`. */
export function listPathFields(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, field = '']) => field);
}

function readQueryOf(operation: Operation): (request: FastifyRequest) => Fields {
  if (!(operation.input instanceof z.ZodObject)) throw new Error(`${operation.path}: a query needs an object schema`);
  const read = createQueryReader(operation.input.shape);
  return (request) => read(request.query as Record<string, string | string[]>);
}

function readBody(request: FastifyRequest): Fields {
  for (const name in request.query as Fields) throw invalidField(name, 'belongs in the JSON body, not in the URL');
  const { body } = request;
  if (body === undefined) return {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidField('body', 'must be a JSON object');
  }
  return body as Fields;
}

/** A field may be said twice, but not differently. */
function setField(input: Fields, field: string, value: unknown, place: string): void {
  if (value === undefined) return;
  const other = input[field];
  if (other !== undefined && other !== value) throw invalidField(field, `differs from the ${place}`);
  input[field] = value;
}
