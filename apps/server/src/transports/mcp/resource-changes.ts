import { AsyncLocalStorage } from 'node:async_hooks';
import type { TaskEvent } from '@task-orchestrator/contract';
import { isInScope, type Core, type Scope } from '@task-orchestrator/core';
import type { ServerEventBus } from '@modelcontextprotocol/server';
import { resourcesOf } from './resources.ts';

type Listener = Parameters<ServerEventBus['subscribe']>[0];
type Events = Pick<Core, 'streamEvents'>;

/** A stream that broke off, in an outage of the database, is taken up again after this long. */
const RETRY_MS = 1000;

/** Tells of everything that changes, until the signal aborts. */
export async function followChanges(
  core: Events,
  onChange: (event: TaskEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let last_event_id: string | undefined; !signal.aborted;) {
    try {
      for await (const event of core.streamEvents({ ...(last_event_id !== undefined && { last_event_id }) }, signal)) {
        last_event_id = event.event_id;
        onChange(event);
      }
      return;
    } catch {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, RETRY_MS);
        signal.addEventListener('abort', () => (clearTimeout(timer), resolve(undefined)), { once: true });
      });
    }
  }
}

/** What `subscriptions/listen` streams hear: the events of the service, followed while anybody listens. */
export interface ChangeBus extends ServerEventBus {
  /** Who subscribes while `work` begins hears of what is in scope; the SDK itself does not say who it is. */
  listenIn<Value>(scope: Scope, work: () => Value): Value;
}

export function createChangeBus(core: Events): ChangeBus {
  const scopes = new AsyncLocalStorage<{ scope: Scope }>();
  const listeners = new Map<Listener, Scope>();
  let following: AbortController | undefined;

  function tell(event: TaskEvent): void {
    for (const [listener, scope] of listeners) {
      if (!isInScope(event.work_directory, scope)) continue;
      for (const uri of resourcesOf(event)) listener({ kind: 'resource_updated', uri });
    }
  }

  return {
    listenIn: (scope, work) => scopes.run({ scope }, work),
    publish(event) {
      for (const listener of listeners.keys()) listener(event);
    },
    subscribe(listener) {
      // Outside of a request nothing is in scope.
      listeners.set(listener, (scopes.getStore() ?? { scope: [] }).scope);
      if (!following) {
        following = new AbortController();
        void followChanges(core, tell, following.signal);
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        following?.abort();
        following = undefined;
      };
    },
  };
}
