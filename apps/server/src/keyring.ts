import type { ApiKey, ApiKeyWithSecret, CreateKeyInput, RotateKeyInput } from '@task-orchestrator/contract';
import type { ApiKeys } from '@task-orchestrator/core';
import { createSecret, hashSecret } from './key-secret.ts';

/** What the operations on keys do: secrets are made here, and the core sees their hashes alone. */
export interface Keyring {
  create(input: CreateKeyInput): Promise<ApiKeyWithSecret>;
  list: ApiKeys['list'];
  revoke(input: { key_id: string }): Promise<ApiKey>;
  rotate(input: RotateKeyInput): Promise<ApiKeyWithSecret>;
}

/**
 * @param options.mustKeepAdmin there is no other way in than an admin key that is stored
 * @param options.onChange a key, or a secret, may have become invalid; to be awaited before anybody is told
 */
export function createKeyring(options: {
  keys: ApiKeys;
  mustKeepAdmin: boolean;
  onChange?: (key_id: string) => Promise<void>;
}): Keyring {
  const { keys, mustKeepAdmin, onChange = () => Promise.resolve() } = options;
  return {
    async create(input) {
      const secret = createSecret();
      return { ...(await keys.insert({ ...input, hash: hashSecret(secret) })), secret };
    },
    list: (input) => keys.list(input),
    async revoke({ key_id }) {
      const revoked = await keys.revoke({ key_id, mustKeepAdmin });
      await onChange(key_id);
      return revoked;
    },
    async rotate(input) {
      const secret = createSecret();
      const rotated = await keys.rotate({ ...input, hash: hashSecret(secret) });
      await onChange(input.key_id);
      return { ...rotated, secret };
    },
  };
}
