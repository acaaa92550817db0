import { operations, type Operation, type TaskEvent } from '@task-orchestrator/contract';
import { createTRPCClient, httpLink } from '@trpc/client';
import type { AppRouter } from '../src/transports/trpc/router.ts';

export type Fields = Record<string, unknown>;
/** Asks one operation through one door; of a stream, for its first event. What is refused is thrown as an object with `status` and `code`. */
export type Call = (operation: string, input: Fields) => Promise<Fields>;

/** Every operation by its name. */
export const OPERATIONS = new Map<string, Operation>(
  Object.entries(operations).flatMap(([group, members]: [string, Record<string, Operation>]) =>
    Object.entries(members).map(([name, operation]) => [`${group}.${name}`, operation] as const),
  ),
);

export function catchRefusal(error: unknown): { refused: unknown } {
  if (error instanceof Error) throw error;
  return { refused: error };
}

/** As a caller who has read the OpenAPI document. */
export function restCall(url: string, key: string): Call {
  const headers = { authorization: `Bearer ${key}` };
  return async (name, input) => {
    const { method, path, kind, isBare } = OPERATIONS.get(name)!;
    const rest = { ...input };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, field: string) => {
      const value = rest[field];
      delete rest[field];
      return encodeURIComponent(String(value));
    });
    const query = new URLSearchParams(
      Object.entries(rest).map(([field, value]): [string, string] => [field, String(value)]),
    );
    const response =
      method === 'GET'
        ? await fetch(`${url}${filled}?${query.toString()}`, { headers })
        : await fetch(url + filled, {
            method,
            body: JSON.stringify(rest),
            headers: { ...headers, 'content-type': 'application/json' },
          });
    if (kind === 'subscription' && response.ok) return readFirstEvent(response);
    const body = (await response.json()) as Fields;
    if (isBare) return body;
    if (body['success'] === true) return body['data'] as Fields;
    const { code, message, details } = body['error'] as Fields;
    // What the caller catches; an object, so that it can be compared.
    throw { status: response.status, code, message, details }; // oxlint-disable-line typescript/only-throw-error
  };
}

async function readFirstEvent(response: Response): Promise<Fields> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const [, data] = /^data: (.*)\n/m.exec(text) ?? [];
    if (data !== undefined) return JSON.parse(data) as Fields;
  }
  throw new Error('the stream ended');
}

/** As a program with the official client; the subscription is read as its link would, without an EventSource. */
export function trpcCall(url: string, key: string): Call {
  const headers = { authorization: `Bearer ${key}` };
  const client = createTRPCClient<AppRouter>({ links: [httpLink({ url: `${url}/trpc`, headers })] });
  return async (name, input) => {
    const { kind } = OPERATIONS.get(name)!;
    if (kind === 'subscription') {
      const query = new URLSearchParams({ input: JSON.stringify(input) });
      const response = await fetch(`${url}/trpc/${name}?${query.toString()}`, {
        headers: { ...headers, accept: 'text/event-stream' },
      });
      if (response.ok) return readFirstTracked(response);
      const { error } = (await response.json()) as { error: { message: string; data: Fields } };
      throw { ...error.data, status: response.status, message: error.message }; // oxlint-disable-line typescript/only-throw-error
    }
    const [group = '', member = ''] = name.split('.');
    const procedures = client as unknown as Record<
      string,
      Record<string, Record<string, (input: Fields) => Promise<Fields>>>
    >;
    try {
      return await procedures[group]![member]![kind === 'query' ? 'query' : 'mutate']!(input);
    } catch (error) {
      const { message, data } = error as {
        message: string;
        data: { httpStatus: number; code: string; details: unknown };
      };
      throw { status: data.httpStatus, code: data.code, message, details: data.details }; // oxlint-disable-line typescript/only-throw-error
    }
  };
}

async function readFirstTracked(response: Response): Promise<Fields> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const [, data] = /^data: (.*"event_id".*)\n/m.exec(text) ?? [];
    if (data !== undefined) return JSON.parse(data) as TaskEvent & Fields;
  }
  throw new Error('the stream ended');
}
