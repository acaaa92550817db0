import { ConnectionError, OrchestratorError } from './errors.ts';
import { parseJson, refusal, type Http } from './http.ts';
import { onAbort } from './on-abort.ts';
import { backoffMs, delay, type RetryPolicy } from './retry.ts';
import { readServerSentEvents, type ServerSentEvent } from './server-sent-events.ts';

/** How a stream is followed. */
export interface StreamOptions {
  /** Ends the stream; the loop over it then ends without an error. */
  signal?: AbortSignal | undefined;
  /** Called each time the connection stands, at first and after each loss. */
  onOpen?: (() => void) | undefined;
  /** Called with what ended a connection that is about to be made anew. */
  onError?: ((error: unknown) => void) | undefined;
}

const PATH = '/api/v1/events';
/** The server says something every 15 seconds; a connection that is silent for this long is dead. */
const SILENCE_MS = 45_000;
const RECONNECT: RetryPolicy = { attempts: Infinity, minDelaySeconds: 0.2, maxDelaySeconds: 5 };

/**
 * The events of `GET /api/v1/events`, each once and in order, over as many connections as it takes. Holds no more
 * than what has arrived and was not yet taken: a slow reader slows the server down.
 */
export async function* streamEvents(
  http: Http,
  input: Readonly<Record<string, unknown>>,
  options: StreamOptions = {},
): AsyncGenerator<unknown, void, undefined> {
  const { last_event_id, ...filters } = input;
  const { signal, onOpen, onError } = options;
  let position = typeof last_event_id === 'string' ? last_event_id : null;
  for (let attempt = 1; !signal?.aborted; attempt++) {
    try {
      const open = () => {
        attempt = 0;
        onOpen?.();
      };
      for await (const { id, data } of connect(http, filters, position, signal, open)) {
        if (id !== null && !isAfter(id, position)) continue;
        position = id ?? position;
        if (data !== null) yield parseJson(data);
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!(error instanceof OrchestratorError && error.retryable)) throw error;
      onError?.(error);
    }
    await delay(backoffMs(Math.max(1, attempt), RECONNECT), signal).catch(() => {});
  }
}

async function* connect(
  http: Http,
  filters: Readonly<Record<string, unknown>>,
  position: string | null,
  signal: AbortSignal | undefined,
  onOpen: () => void,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const controller = new AbortController();
  const stopListening = onAbort(signal, () => controller.abort(signal?.reason));
  const onSilence = () =>
    controller.abort(new ConnectionError(`Nothing came for ${SILENCE_MS / 1000} seconds`, { code: 'TIMEOUT' }));
  let silence = setTimeout(onSilence, SILENCE_MS);
  const onBytes = () => {
    clearTimeout(silence);
    silence = setTimeout(onSilence, SILENCE_MS);
  };
  try {
    const response = await http.open(`${PATH}${toQuery(filters)}`, {
      method: 'GET',
      headers: { accept: 'text/event-stream', ...(position !== null && { 'last-event-id': position }) },
      signal: controller.signal,
    });
    if (!response.ok || !response.body) throw refusal(response, parseJson(await response.text()));
    onOpen();
    yield* readServerSentEvents(response.body, onBytes);
  } catch (error) {
    if (error instanceof OrchestratorError) throw error;
    controller.signal.throwIfAborted();
    throw new ConnectionError('The event stream broke off', { cause: error });
  } finally {
    clearTimeout(silence);
    stopListening();
    controller.abort();
  }
}

function toQuery(filters: Readonly<Record<string, unknown>>): string {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(filters)) {
    for (const value of Array.isArray(values) ? values : [values]) if (isFlat(value)) query.append(name, String(value));
  }
  return query.size > 0 ? `?${query.toString()}` : '';
}

function isFlat(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** Ids are whole numbers of up to 16 digits. */
function isAfter(id: string, position: string | null): boolean {
  return position === null || BigInt(id) > BigInt(position);
}
