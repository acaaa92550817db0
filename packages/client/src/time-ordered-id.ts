const RANDOM_BYTES = 10;
const pool = new Uint8Array(128 * RANDOM_BYTES);
let digits = '';
let used = 0;

/**
 * A UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits, which are drawn for many ids at once. New ids
 * sort behind old ones, so an index of them grows at its end.
 */
export function timeOrderedId(now = Date.now()): string {
  if (used === digits.length) {
    digits = Array.from(crypto.getRandomValues(pool), (byte) => byte.toString(16).padStart(2, '0')).join('');
    used = 0;
  }
  const time = now.toString(16).padStart(12, '0');
  const random = digits.slice(used, (used += RANDOM_BYTES * 2));
  const variant = ((Number.parseInt(random[0]!, 16) & 3) | 8).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(1, 4)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`;
}
