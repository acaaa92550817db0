import { DomainError } from '@task-orchestrator/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { readSecret, type Authenticator } from './auth.ts';
import { refuseStranger } from './authorize.ts';
import { ANYONE, type Caller } from './caller.ts';
import type { RateLimiter } from './rate-limit.ts';

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
 */
export function createAdmission(options: {
  authenticator: Authenticator | undefined;
  limiter: RateLimiter | undefined;
}): Admit {
  const { authenticator, limiter } = options;
  const charge = limiter ? createCharge(limiter) : () => undefined;

  function settle(request: FastifyRequest, reply: FastifyReply, calls: number, caller: Caller | undefined) {
    if (!caller) return charge(reply, `address ${request.ip}`, calls) ?? refuseStranger();
    request.caller = caller;
    return charge(reply, `key ${caller.key_id}`, calls);
  }

  return (request, reply, calls, done) => {
    if (!authenticator) {
      request.caller = ANYONE;
      return done(charge(reply, `address ${request.ip}`, calls));
    }
    const secret = readSecret(request.headers);
    const caller = secret === undefined ? undefined : authenticator.find(secret);
    if (!(caller instanceof Promise)) return done(settle(request, reply, calls, caller));
    void answerLater(
      caller.then((found) => settle(request, reply, calls, found)),
      done,
    );
  };
}

function createCharge(limiter: RateLimiter) {
  const policy = `"default";q=${limiter.requestsPerMinute};w=60`;
  return (reply: FastifyReply, caller: string, calls: number): DomainError | undefined => {
    const allowance = limiter.take(caller, calls);
    reply.header('ratelimit-policy', policy);
    reply.header('ratelimit', `"default";r=${allowance.remaining};t=${allowance.resetSeconds}`);
    if (allowance.isAllowed) return undefined;
    const retry_after_seconds = allowance.retryAfterSeconds;
    const message = `More than ${limiter.requestsPerMinute} requests a minute; try again in ${retry_after_seconds} s`;
    return new DomainError('RATE_LIMITED', message, { retry_after_seconds });
  };
}

async function answerLater(refusal: Promise<DomainError | undefined>, done: Done): Promise<void> {
  done(await refusal.catch(toError));
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
