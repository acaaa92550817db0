import { refuseStranger } from './authorize.ts';
import type { Caller } from './caller.ts';
import type { KeyWatch } from './key-watch.ts';

interface Held<Answer> {
  readonly watch: KeyWatch;
  readonly caller: Caller;
  /** Of the door: aborts when the caller is gone. */
  readonly signal: AbortSignal;
  readonly run: (signal: AbortSignal) => Answer;
}

/** Answers what waits; once the key is not valid any more the wait ends, and what its caller is told is `UNAUTHORIZED`. */
export async function holdCall<Output>(held: Held<Promise<Output>>): Promise<Output> {
  const key = held.watch.hold(held.caller);
  try {
    const output = await held.run(AbortSignal.any([held.signal, key.signal]));
    if (key.signal.aborted) throw refuseStranger();
    return output;
  } finally {
    key.release();
  }
}

/** The same for a stream. */
export async function* holdStream<Item>(held: Held<AsyncIterable<Item>>): AsyncGenerator<Item, void, undefined> {
  const key = held.watch.hold(held.caller);
  try {
    yield* held.run(AbortSignal.any([held.signal, key.signal]));
    if (key.signal.aborted) throw refuseStranger();
  } finally {
    key.release();
  }
}
