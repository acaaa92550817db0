import { mayCall, operations, type Operation, type Operations } from '@task-orchestrator/contract';
import type { z } from 'zod';
import { authorize } from '../../authorize.ts';
import type { Caller } from '../../caller.ts';
import type { CallEndpoint, Endpoint, OperationContext } from '../../operations.ts';
import { validateInput } from '../../validate.ts';

type Call = {
  [Group in keyof Operations]: {
    [Name in keyof Operations[Group]]: Operations[Group][Name] extends Operation<'subscription'>
      ? never
      : { name: `${Group & string}.${Name & string}`; operation: Operations[Group][Name] };
  }[keyof Operations[Group]];
}[keyof Operations];

/** `tasks.create` and so on: every operation that answers once. */
export type CallName = Call['name'];
type InputOf<Name extends CallName> = z.input<Extract<Call, { name: Name }>['operation']['input']>;
type OutputOf<Name extends CallName> = z.output<Extract<Call, { name: Name }>['operation']['output']>;

/** Asks one operation as one caller, validated like at every other door. Throws what the operation refuses. */
export type Ask = <Name extends CallName>(
  name: Name,
  input: InputOf<Name>,
  context?: Omit<OperationContext, 'caller'>,
) => Promise<OutputOf<Name>>;

export function createAsk(endpoints: readonly Endpoint[]): (caller: Caller) => Ask {
  const calls = new Map<string, CallEndpoint>(endpoints.filter(isCall).map((endpoint) => [endpoint.name, endpoint]));
  return (caller) =>
    asAsk(async (name, input, context) => {
      const endpoint = calls.get(name);
      if (!endpoint) throw new Error(`${name} is not bound`);
      const valid = validateInput(endpoint.operation, input);
      return endpoint.run(valid, { caller, ...context }, (output) => output);
    });
}

/** Whether what is made of these operations is of any use to the caller. */
export function mayAsk(caller: Caller, names: readonly CallName[]): boolean {
  return names.every((name) => mayCall(caller.roles, operationOf(name)));
}

/** @throws FORBIDDEN */
export function requireAccess(caller: Caller, names: readonly CallName[]): void {
  for (const name of names) authorize(name, operationOf(name), caller);
}

function operationOf(name: CallName): Operation {
  const [group, member] = name.split('.') as [string, string];
  // `CallName` is made from the same record.
  return (operations as Record<string, Record<string, Operation>>)[group]![member]!;
}

function isCall(endpoint: Endpoint): endpoint is CallEndpoint {
  return endpoint.kind !== 'subscription';
}

/** An endpoint answers what its operation describes: `bindOperations` holds that at compile time. */
function asAsk(
  ask: (name: CallName, input: unknown, context?: Omit<OperationContext, 'caller'>) => Promise<unknown>,
): Ask {
  return ask as Ask;
}
