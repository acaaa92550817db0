import { DomainError } from '@task-orchestrator/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { networkOf } from './address.ts';
import { readSecret, type Authenticator } from './auth.ts';
import { refuseStranger } from './authorize.ts';
import { ANYONE, type Caller } from './caller.ts';
import type { Allowance, RateLimiter } from './rate-limit.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose key the request carried; `null` until it was admitted. */
    caller: Caller | null;
  }
}

type Done = (error?: Error) => void;

/** Lets a request in, or calls `done` with its refusal: `UNAUTHORIZED` or `RATE_LIMITED`. Runs before the body is read. */
export type Admit = (request: FastifyRequest, reply: FastifyReply, calls: number, done: Done) => void;

/**
 * @param authenticator absent when authentication is off: then callers are told apart by their address.
 * @param limiter absent when there is no limit.
 * @param strangers how much an address may ask without a key that was valid before; absent when there is no limit. What it
 * bounds is look-ups of keys in the database. Keys that were valid before pass it by, so that nobody locks out those who
 * share an address with him.
 */
export function createAdmission(options: {
  authenticator: Authenticator | undefined;
  limiter: RateLimiter | undefined;
  strangers?: RateLimiter | undefined;
}): Admit {
  const { authenticator, limiter, strangers } = options;
  const charge = limiter ? createCharge(limiter) : () => undefined;

  function settle(request: FastifyRequest, reply: FastifyReply, calls: number, caller: Caller | undefined) {
    if (!caller) return refuseStranger();
    request.caller = caller;
    return charge(reply, `key ${caller.key_id}`, calls);
  }

  return (request, reply, calls, done) => {
    if (!authenticator) {
      request.caller = ANYONE;
      return done(charge(reply, addressOf(request), calls));
    }
    const secret = readSecret(request.headers);
    const isStranger = strangers !== undefined && (secret === undefined || !authenticator.isFamiliar(secret));
    const refusal = isStranger ? chargeStranger(strangers, request, reply) : undefined;
    if (refusal) return done(refusal);
    const caller = secret === undefined ? undefined : authenticator.find(secret);
    if (!(caller instanceof Promise)) return done(settle(request, reply, calls, caller));
    void answerLater(
      caller.then((found) => {
        if (found && isStranger) strangers.giveBack(addressOf(request), 1);
        return settle(request, reply, calls, found);
      }),
      done,
    );
  };
}

/** The header fields are those of https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/. */
function createCharge(limiter: RateLimiter) {
  const policy = `"default";q=${limiter.requestsPerMinute};w=60`;
  return (reply: FastifyReply, caller: string, calls: number): DomainError | undefined => {
    const allowance = limiter.take(caller, calls);
    reply.header('ratelimit-policy', policy);
    reply.header('ratelimit', `"default";r=${allowance.remaining};t=${allowance.resetSeconds}`);
    return allowance.isAllowed ? undefined : refuseExcess(`${limiter.requestsPerMinute} requests`, allowance);
  };
}

/** Taken before the key is looked up, and given back when it is valid; so only a refusal tells of it. */
function chargeStranger(strangers: RateLimiter, request: FastifyRequest, reply: FastifyReply): DomainError | undefined {
  const allowance = strangers.take(addressOf(request), 1);
  if (allowance.isAllowed) return undefined;
  const { requestsPerMinute: quota } = strangers;
  reply.header('ratelimit-policy', `"unauthenticated";q=${quota};w=60`);
  reply.header('ratelimit', `"unauthenticated";r=${allowance.remaining};t=${allowance.resetSeconds}`);
  return refuseExcess(`${quota} requests without a valid key from this address`, allowance);
}

function refuseExcess(what: string, { retryAfterSeconds }: Allowance): DomainError {
  const message = `More than ${what} a minute; try again in ${retryAfterSeconds} s`;
  return new DomainError('RATE_LIMITED', message, { retry_after_seconds: retryAfterSeconds });
}

function addressOf({ ip }: FastifyRequest): string {
  return `address ${networkOf(ip)}`;
}

async function answerLater(refusal: Promise<DomainError | undefined>, done: Done): Promise<void> {
  done(await refusal.catch(toError));
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
