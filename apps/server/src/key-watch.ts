import type { ApiKeys } from '@task-orchestrator/core';
import type { Caller } from './caller.ts';

/** Ends what stays open under a key, streams and long polls, when the key stops being valid. */
export interface KeyWatch {
  /** To be released when the stream or poll is over. */
  hold(caller: Caller): Hold;
  /** Looks at once: a key has been changed on this server. */
  look(): Promise<void>;
}

export interface Hold {
  /** Aborts when the key is not valid any more. */
  readonly signal: AbortSignal;
  release(): void;
}

/** Changes that other servers make, and keys that expire, are seen within this long. */
const LOOK_MS = 2000;

const HELD_FOR_GOOD: Hold = { signal: new AbortController().signal, release: () => undefined };

/** One look asks for all keys that hold something open. While the database is out, everything stays as it is. */
export function createKeyWatch(options: {
  keys: Pick<ApiKeys, 'findValidHashes'>;
  /** Hears of each secret that was found invalid, before what is open under it ends and its client comes back. */
  onEnd?: (hash: string) => void;
  lookMs?: number;
}): KeyWatch {
  const { keys, onEnd, lookMs = LOOK_MS } = options;
  const held = new Map<string, { ending: AbortController; holders: number }>();
  let timer: NodeJS.Timeout | undefined;

  async function look(): Promise<void> {
    const hashes = [...held.keys()];
    if (hashes.length === 0) return;
    const valid = await keys.findValidHashes(hashes);
    for (const hash of hashes) {
      if (valid.has(hash)) continue;
      onEnd?.(hash);
      held.get(hash)?.ending.abort();
    }
  }

  return {
    look,
    hold({ hash }) {
      if (hash === null) return HELD_FOR_GOOD;
      const entry = held.get(hash) ?? { ending: new AbortController(), holders: 0 };
      entry.holders++;
      held.set(hash, entry);
      timer ??= setInterval(() => void look().catch(() => undefined), lookMs).unref();
      return {
        signal: entry.ending.signal,
        release() {
          entry.holders--;
          if (entry.holders > 0 || held.get(hash) !== entry) return;
          held.delete(hash);
          if (held.size > 0) return;
          clearInterval(timer);
          timer = undefined;
        },
      };
    },
  };
}
