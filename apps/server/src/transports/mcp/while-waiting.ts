/** Runs something over and over while a promise is pending, then hands the promise's outcome on. */
export async function whileWaiting<Value>(options: {
  promise: Promise<Value>;
  everyMs: number;
  tick: () => void;
}): Promise<Value> {
  const timer = setInterval(options.tick, options.everyMs);
  try {
    return await options.promise;
  } finally {
    clearInterval(timer);
  }
}
