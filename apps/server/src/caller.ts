import type { Role } from '@task-orchestrator/contract';

/** Who calls: plain data of the key, never its secret. */
export interface Caller {
  readonly key_id: string;
  readonly name: string;
  readonly roles: readonly Role[];
  /** Directories that the caller may see and touch, each with everything below; undefined: all there are. */
  readonly scope: readonly string[] | undefined;
  /** SHA-256 of the secret that the caller has shown; null for a caller whom nobody can shut out while the process lives. */
  readonly hash: string | null;
}

/** Whoever reaches the service where it asks for no key: over HTTP without authentication, or over the pipes of the one agent that started it. */
export const ANYONE: Caller = {
  key_id: 'anonymous',
  name: 'no key is asked for',
  roles: ['admin'],
  scope: undefined,
  hash: null,
};
