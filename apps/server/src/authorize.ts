import { mayCall, type Operation } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import type { Caller } from './caller.ts';

/**
 * The one place that decides who may call what; every door comes through it.
 * @param caller null: nobody has looked at a key.
 * @throws UNAUTHORIZED, FORBIDDEN
 */
export function authorize(name: string, operation: Operation, caller: Caller | null): void {
  if (operation.isPublic) return;
  if (caller === null) throw refuseStranger();
  if (mayCall(caller.roles, operation)) return;
  const needed = [...operation.roles, 'admin'];
  throw new DomainError(
    'FORBIDDEN',
    `${name} needs the role ${needed.join(' or ')}; this key has ${caller.roles.join(' and ')}`,
    { operation: name, needed },
  );
}

export function refuseStranger(): DomainError {
  return new DomainError('UNAUTHORIZED', 'A valid API key is needed: Authorization: Bearer <key>');
}
