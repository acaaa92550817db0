import { createCipheriv, createDecipheriv, createSecretKey, hash, randomFillSync, type KeyObject } from 'node:crypto';
import { DomainError } from '../domain-error.ts';

/** 32 bytes each. */
export interface EncryptionKeys {
  /** Under which everything new is written; null: as plain text. */
  readonly current: Uint8Array | null;
  /** Those of before, for reading alone. */
  readonly previous: readonly Uint8Array[];
}

export const NO_KEYS: EncryptionKeys = { current: null, previous: [] };

/** No text of a person begins with this, so one look at the first character tells plain text from all else. */
const MARK = 1;
/** Before plain text that begins with the mark itself. */
const PLAIN = '\u00010:';
/** Before `<key id>:<base64 of nonce, ciphertext and tag>`. */
export const SEALED = '\u00011:';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A value that cannot be decrypted. The message names the task and never what was in it. */
export class UnreadableError extends DomainError {
  /** Another server may know the key. */
  readonly isKeyUnknown: boolean;

  constructor(task_id: string, column: string, unknownKey?: string) {
    const [name] = column.split(' ', 1);
    const reason =
      unknownKey === undefined
        ? 'it was damaged, or moved here from another task'
        : `this server does not know its key ${unknownKey}`;
    super('INTERNAL_ERROR', `the ${name} of task ${task_id} cannot be decrypted: ${reason}`, { task_id });
    this.isKeyUnknown = unknownKey !== undefined;
  }
}

/**
 * The stored form of what a task holds for its worker: encrypted with AES-256-GCM (NIST SP 800-38D) where there is a
 * key, and else as it is. A value is bound to its task and column, so it cannot pass for that of another.
 */
export class Cipher {
  /** Under which everything new is written; null: it stays plain text. */
  readonly #current: { readonly id: string; readonly key: KeyObject; readonly prefix: string } | null;
  readonly #keys: ReadonlyMap<string, KeyObject>;

  constructor({ current, previous }: EncryptionKeys) {
    this.#current = current === null ? null : toCurrent(current);
    const keys = current === null ? previous : [current, ...previous];
    this.#keys = new Map(keys.map((key) => [toKeyId(key), createSecretKey(key)]));
  }

  get currentId(): string | null {
    return this.#current?.id ?? null;
  }

  /** What every value that is written now begins with; null: it is plain text. */
  get prefix(): string | null {
    return this.#current?.prefix ?? null;
  }

  get keyIds(): string[] {
    return [...this.#keys.keys()];
  }

  /** @param column and whatever else of the row the value is bound to */
  seal(text: string, task_id: string, column: string): string {
    if (this.#current === null) return text.charCodeAt(0) === MARK ? PLAIN + text : text;
    const { key, prefix } = this.#current;
    const nonce = drawNonce();
    const cipher = createCipheriv(ALGORITHM, key, nonce);
    cipher.setAAD(toAad(task_id, column));
    const sealed = [nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()];
    return prefix + Buffer.concat(sealed).toString('base64');
  }

  /** @throws UnreadableError */
  open(stored: string, task_id: string, column: string): string {
    if (stored.charCodeAt(0) !== MARK) return stored;
    if (stored.startsWith(PLAIN)) return stored.slice(PLAIN.length);
    const end = stored.indexOf(':', SEALED.length);
    if (!stored.startsWith(SEALED) || end < 0) throw new UnreadableError(task_id, column);
    const keyId = stored.slice(SEALED.length, end);
    const key = this.#keys.get(keyId);
    if (!key) throw new UnreadableError(task_id, column, KEY_ID.test(keyId) ? keyId : undefined);
    try {
      return decrypt(key, Buffer.from(stored.slice(end + 1), 'base64'), toAad(task_id, column));
    } catch {
      throw new UnreadableError(task_id, column);
    }
  }
}

function toCurrent(key: Uint8Array): { id: string; key: KeyObject; prefix: string } {
  const id = toKeyId(key);
  return { id, key: createSecretKey(key), prefix: `${SEALED}${id}:` };
}

function decrypt(key: KeyObject, sealed: Buffer, aad: Buffer): string {
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const text = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
  // Throws unless the tag is right.
  decipher.final();
  return text.toString();
}

const KEY_ID = /^[0-9a-f]{12}$/;

/** By what a value names its key: twelve digits of its hash, so that nobody has to give keys names. */
function toKeyId(key: Uint8Array): string {
  return hash('sha256', Buffer.concat([Buffer.from('task-orchestrator key id\0'), key])).slice(0, 12);
}

function toAad(task_id: string, column: string): Buffer {
  return Buffer.from(`${task_id} ${column}`);
}

/** Random bytes cost less by the thousand. */
const nonces = Buffer.alloc(NONCE_BYTES * 256);
let drawn = nonces.length;

/** Valid until the next one is drawn. */
function drawNonce(): Buffer {
  if (drawn === nonces.length) {
    randomFillSync(nonces);
    drawn = 0;
  }
  return nonces.subarray(drawn, (drawn += NONCE_BYTES));
}
