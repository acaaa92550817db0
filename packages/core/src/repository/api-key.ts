import type { ApiKey, KeyIdInput, KeysInput, KeysOutput, Role } from '@task-orchestrator/contract';
import type { z } from 'zod';

/** A key as it comes to be; of its secret only the hash is ever known here. */
export interface NewKey {
  readonly name: string;
  readonly roles: readonly Role[];
  /** Empty: everywhere. */
  readonly path_prefixes: readonly string[];
  /** ISO 8601. */
  readonly expires_at?: string | undefined;
  /** SHA-256 of the secret, as lower-case hex. */
  readonly hash: string;
}

/** A key that is valid at this moment. */
export interface ValidKey {
  readonly key_id: string;
  readonly name: string;
  readonly roles: readonly Role[];
  readonly path_prefixes: readonly string[];
  /** How long the secret stays valid from now on; `Infinity` until somebody changes that. */
  readonly remainingMs: number;
}

export interface ApiKeys {
  count(): Promise<number>;
  /** @throws VALIDATION_ERROR for an admin key with prefixes, or one that has expired already. */
  insert(key: NewKey): Promise<ApiKey>;
  /** An admin key if there is no key yet; answers null if there is one, however many servers ask at once. */
  insertFirst(key: Pick<NewKey, 'name' | 'hash'>): Promise<ApiKey | null>;
  list(input: z.output<typeof KeysInput>): Promise<z.infer<typeof KeysOutput>>;
  /**
   * @param input.mustKeepAdmin refuses to leave no admin key that does not expire
   * @throws NOT_FOUND, STATUS_CONFLICT
   */
  revoke(input: z.output<typeof KeyIdInput> & { mustKeepAdmin: boolean }): Promise<ApiKey>;
  /** @throws NOT_FOUND, or STATUS_CONFLICT for a key that has expired. */
  rotate(input: { key_id: string; grace_seconds: number; hash: string }): Promise<ApiKey>;
  /** The valid key of a secret, which counts as a use of it. */
  findByHash(hash: string): Promise<ValidKey | undefined>;
  /** Which of these still belong to valid keys; no use of them. */
  findValidHashes(hashes: readonly string[]): Promise<ReadonlySet<string>>;
}
