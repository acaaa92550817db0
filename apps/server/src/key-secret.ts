import { hash as digest, randomBytes } from 'node:crypto';

/** A new secret: 256 random bits, so that its hash needs neither salt nor slowness. */
export function createSecret(): string {
  return `tok_${randomBytes(32).toString('base64url')}`;
}

/** SHA-256 as lower-case hex, as keys are stored. */
export function hashSecret(secret: string): string {
  return digest('sha256', secret);
}
