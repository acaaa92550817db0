import type { Core } from '@task-orchestrator/core';
import type { ServerEventBus } from '@modelcontextprotocol/server';
import { resourcesOf } from './resources.ts';

type Listener = Parameters<ServerEventBus['subscribe']>[0];
type Events = Pick<Core, 'streamEvents'>;

/** A stream that broke off, in an outage of the database, is taken up again after this long. */
const RETRY_MS = 1000;

/** Tells of every resource that changes, until the signal aborts. */
export async function followChanges(core: Events, onChange: (uri: string) => void, signal: AbortSignal): Promise<void> {
  for (let last_event_id: string | undefined; !signal.aborted;) {
    try {
      for await (const event of core.streamEvents({ ...(last_event_id !== undefined && { last_event_id }) }, signal)) {
        last_event_id = event.event_id;
        for (const uri of resourcesOf(event)) onChange(uri);
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
export function createChangeBus(core: Events): ServerEventBus {
  const listeners = new Set<Listener>();
  let following: AbortController | undefined;
  const publish: ServerEventBus['publish'] = (event) => {
    for (const listener of listeners) listener(event);
  };
  return {
    publish,
    subscribe(listener) {
      listeners.add(listener);
      if (!following) {
        following = new AbortController();
        void followChanges(core, (uri) => publish({ kind: 'resource_updated', uri }), following.signal);
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
