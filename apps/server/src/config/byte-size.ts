const bytesPer = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** Bytes of a size such as `2MiB`, `512 KiB` or `4096`; `undefined` when the text is not a size. */
export const findByteSize = (text: string): number | undefined => {
  const match = /^(\d+) ?(B|KiB|MiB|GiB)?$/.exec(text);
  if (!match) return undefined;
  const unit = (match[2] ?? 'B') as keyof typeof bytesPer; // the pattern admits these units only
  return Number(match[1]) * bytesPer[unit];
};
