import { JSON_MAX_BYTES } from '@task-orchestrator/contract';
import { invalidField } from '../domain-error.ts';

/** Serialises a value of a caller once, and refuses what is larger than the contract allows. */
export function toJsonColumn(field: string, value: unknown): string {
  const json = JSON.stringify(value);
  if (json.length * 3 > JSON_MAX_BYTES && Buffer.byteLength(json) > JSON_MAX_BYTES) {
    throw invalidField(field, `must have at most ${JSON_MAX_BYTES} bytes as JSON`);
  }
  return json;
}
