import { codeOfStatus, toError } from './errors.ts';
import { factsOf, isObject, type CallAnswer, type Http } from './http.ts';
import { endOfTurn } from './end-of-turn.ts';
import type { ErrorBody, ErrorCode } from './wire.ts';

/** A call that waits for its answer. */
export interface Ticket {
  readonly path: string;
  /** Input as JSON text. */
  readonly input: string;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** In which the call is under way; null before and after. */
  request: Request | null;
}

/** Items of one request; the server refuses more. */
const MAX_ITEMS = 100;
/** Queries travel in the URL. */
const MAX_URL_LENGTH = 4000;
/** While so many requests are under way, further calls wait for each other. */
const MAX_REQUESTS = 4;

/**
 * Sends calls of one kind, alone or several in a request, by the protocol of tRPC: https://trpc.io/docs/rpc. A request takes
 * at most half of the calls that there are, so that client and server work at the same time and not in turns.
 */
export class CallBatcher {
  readonly #http: Http;
  readonly #kind: 'query' | 'mutation';
  #pending: Ticket[] = [];
  /** Calls under way, and the requests that have several of them. */
  #calls = 0;
  #shared = 0;
  #isScheduled = false;

  constructor(http: Http, kind: 'query' | 'mutation') {
    this.#http = http;
    this.#kind = kind;
  }

  sendAlone(ticket: Ticket): void {
    void this.#send([ticket]);
  }

  sendWithOthers(ticket: Ticket): void {
    this.#pending.push(ticket);
    this.#schedule();
  }

  /** The caller wants no answer any more. A request ends when that is true of all its calls. */
  drop(ticket: Ticket): void {
    const { request } = ticket;
    if (!request) this.#pending = this.#pending.filter((other) => other !== ticket);
    else if (--request.wanted === 0) request.controller.abort();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#pending.length === 0) return;
    this.#isScheduled = true;
    void endOfTurn().then(() => {
      this.#isScheduled = false;
      while (this.#pending.length > 0 && this.#shared < MAX_REQUESTS) void this.#sendNext();
    });
  }

  async #sendNext(): Promise<void> {
    const half = Math.ceil((this.#pending.length + this.#calls) / 2);
    const tickets = this.#pending.splice(0, this.#fitting(Math.min(half, MAX_ITEMS)));
    this.#shared += 1;
    await this.#send(tickets);
    this.#shared -= 1;
    this.#schedule();
  }

  /** How many of the pending calls go into one request; at least one. */
  #fitting(most: number): number {
    if (this.#kind === 'mutation') return most;
    let length = 0;
    const tooLong = this.#pending.findIndex(({ path, input }) => {
      length += path.length + encodeURIComponent(input).length + 20;
      return length > MAX_URL_LENGTH;
    });
    return tooLong === -1 ? most : Math.min(most, Math.max(1, tooLong));
  }

  async #send(tickets: readonly Ticket[]): Promise<void> {
    const request = { wanted: tickets.length, controller: new AbortController() };
    for (const ticket of tickets) ticket.request = request;
    this.#calls += tickets.length;
    try {
      const answer = await this.#ask(tickets, request.controller.signal);
      const { body } = answer;
      for (const [index, ticket] of tickets.entries()) {
        settle(ticket, Array.isArray(body) ? body[index] : body, answer);
      }
    } catch (error) {
      for (const { reject } of tickets) reject(error);
    } finally {
      for (const ticket of tickets) ticket.request = null;
      this.#calls -= tickets.length;
    }
  }

  #ask(tickets: readonly Ticket[], signal: AbortSignal): Promise<CallAnswer> {
    const isBatch = tickets.length > 1;
    const inputs = tickets.map(({ input }, index) => (isBatch ? `"${index}":${input}` : input)).join(',');
    const input = isBatch ? `{${inputs}}` : inputs;
    const url = `/trpc/${tickets.map(({ path }) => path).join(',')}`;
    const query = isBatch ? '?batch=1' : '';
    if (this.#kind === 'mutation') {
      const headers = { 'content-type': 'application/json' };
      return this.#http.ask(url + query, { method: 'POST', headers, body: input, signal });
    }
    const asked = `${query}${isBatch ? '&' : '?'}input=${encodeURIComponent(input)}`;
    return this.#http.ask(url + asked, { method: 'GET', headers: {}, signal });
  }
}

interface Request {
  readonly controller: AbortController;
  /** Calls whose callers still wait. */
  wanted: number;
}

/** `answer` was found to be of the protocol when it arrived. */
function settle({ resolve, reject }: Ticket, outcome: unknown, answer: CallAnswer): void {
  if (isObject(outcome) && isObject(outcome['result'])) resolve(outcome['result']['data']);
  else reject(toRefusal(isObject(outcome) ? outcome['error'] : undefined, answer));
}

function toRefusal(error: unknown, answer: CallAnswer): Error {
  const { data, message }: Record<string, unknown> = isObject(error) ? error : {};
  const { httpStatus, code, details }: Record<string, unknown> = isObject(data) ? data : {};
  // Of a batch, the status of the answer is that of all its calls.
  const status = typeof httpStatus === 'number' ? httpStatus : answer.status;
  const body: ErrorBody = {
    code: typeof code === 'string' ? (code as ErrorCode) : codeOfStatus(status),
    message: typeof message === 'string' ? message : 'The server gave no answer to this call',
    details: isObject(details) ? details : null,
  };
  return toError(body, { ...factsOf(answer), status });
}
