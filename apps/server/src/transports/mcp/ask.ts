import type { Operation, Operations } from '@task-orchestrator/contract';
import type { z } from 'zod';
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

/** Asks one operation, validated like at every other door. Throws what the operation refuses. */
export type Ask = <Name extends CallName>(
  name: Name,
  input: InputOf<Name>,
  context?: OperationContext,
) => Promise<OutputOf<Name>>;

const NO_WAIT = {};

export function createAsk(endpoints: readonly Endpoint[]): Ask {
  const calls = new Map<string, CallEndpoint>(endpoints.filter(isCall).map((endpoint) => [endpoint.name, endpoint]));
  return asAsk(async (name, input, context = NO_WAIT) => {
    const endpoint = calls.get(name);
    if (!endpoint) throw new Error(`${name} is not bound`);
    return endpoint.run(validateInput(endpoint.operation, input), context);
  });
}

function isCall(endpoint: Endpoint): endpoint is CallEndpoint {
  return endpoint.kind !== 'subscription';
}

/** An endpoint answers what its operation describes: `bindOperations` holds that at compile time. */
function asAsk(ask: (name: CallName, input: unknown, context?: OperationContext) => Promise<unknown>): Ask {
  return ask as Ask;
}
