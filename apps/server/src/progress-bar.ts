/** Rows of a table, of so many. */
export interface Progress {
  readonly table: string;
  readonly doing: string;
  readonly done: number;
  readonly total: number;
}

/** One line a table and step: drawn again and again on a terminal, written once it is done elsewhere. */
export function createProgressBar(output: NodeJS.WriteStream): (progress: Progress) => void {
  return ({ table, doing, done, total }) => {
    const share = total === 0 ? 1 : done / total;
    const isDone = done >= total;
    if (!output.isTTY) {
      if (isDone) output.write(`${doing} ${table}: ${done}\n`);
      return;
    }
    const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
    output.write(`\r${doing.padEnd(10)} ${table.padEnd(18)} [${bar}] ${done}/${total}${isDone ? '\n' : ''}`);
  };
}

const BAR_WIDTH = 30;
