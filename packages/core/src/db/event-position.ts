/** A place in the order of events. */
export interface EventPosition {
  readonly txid: number;
  readonly seq: number;
}

export const EVENT_ORIGIN: EventPosition = { txid: 0, seq: 0 };

/** As callers see it: `42`, or `7001.42` where several servers write. */
export function formatPosition({ txid, seq }: EventPosition): string {
  return txid === 0 ? String(seq) : `${txid}.${seq}`;
}

/** @param text an `event_id` that passed the contract */
export function parsePosition(text: string): EventPosition {
  const [first, second] = text.split('.').map(Number);
  return second === undefined ? { txid: 0, seq: first! } : { txid: first!, seq: second };
}

export function isAfter(a: EventPosition, b: EventPosition): boolean {
  return a.txid !== b.txid ? a.txid > b.txid : a.seq > b.seq;
}
