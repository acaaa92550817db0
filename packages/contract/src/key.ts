import { z } from 'zod';
import { Instant, Timestamp } from './task.ts';
import { shortText } from './text.ts';
import { PathPrefix } from './work-directory.ts';

/** What a key is for. `admin` may call every operation; the others those that name them. */
export const Role = z.enum(['producer', 'worker', 'viewer', 'admin']).meta({ id: 'Role' });
export type Role = z.infer<typeof Role>;

export const KeyId = z
  .string()
  .regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, 'must be a UUID')
  .overwrite((id) => id.toLowerCase());

const PathPrefixes = z.array(PathPrefix).max(100, 'must have at most 100 paths').meta({
  description: 'The key sees and touches tasks at or below these directories only; empty = everywhere',
});

/** A key as it may be shown: its secret is known to its owner alone. */
export const ApiKey = z
  .object({
    key_id: KeyId,
    name: z.string(),
    roles: z.array(Role),
    path_prefixes: PathPrefixes,
    created_at: Timestamp,
    expires_at: Timestamp.nullable(),
    last_used_at: Timestamp.nullable().meta({ description: 'To within about a minute' }),
    old_secret_expires_at: Timestamp.nullable().meta({
      description: 'Until then the secret from before the last rotation is valid, too',
    }),
  })
  .meta({ id: 'ApiKey' });
export type ApiKey = z.infer<typeof ApiKey>;

export const ApiKeyWithSecret = ApiKey.extend({
  secret: z.string().meta({ description: 'What callers send; shown only now' }),
}).meta({ id: 'ApiKeyWithSecret' });
export type ApiKeyWithSecret = z.infer<typeof ApiKeyWithSecret>;

export const CreateKeyInput = z.strictObject({
  name: shortText(100),
  roles: z.array(Role).min(1, 'must name at least one role').max(4),
  path_prefixes: PathPrefixes.default([]),
  expires_at: Instant.optional(),
});
export type CreateKeyInput = z.output<typeof CreateKeyInput>;

export const KeysInput = z.strictObject({
  limit: z.int().min(1).max(1000).default(200),
  cursor: KeyId.optional().meta({ description: 'The `next_cursor` of the page before' }),
});
export const KeysOutput = z.object({
  keys: z.array(ApiKey).meta({ description: 'Newest first' }),
  next_cursor: z.string().nullable(),
});

export const KeyIdInput = z.strictObject({ key_id: KeyId });

export const RotateKeyInput = z.strictObject({
  key_id: KeyId,
  grace_seconds: z.int().min(0).max(604_800).default(0).meta({ description: 'How long the old secret stays valid' }),
});
export type RotateKeyInput = z.output<typeof RotateKeyInput>;
