/** Asks at most once in so many milliseconds; whoever asks in between gets the same answer. */
export function shareRecent<Value>(load: () => Promise<Value>, validMs: number): () => Promise<Value> {
  let shared: Promise<Value> | undefined;
  let loadedAt = -Infinity;
  return () => {
    const now = performance.now();
    if (shared && now - loadedAt < validMs) return shared;
    loadedAt = now;
    return (shared = load());
  };
}
