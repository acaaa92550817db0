import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** A command as a document shows it, and what it shows as its output. */
export interface Step {
  readonly command: string;
  readonly shown: string;
}

/** Steps of a `console` block: `$ ` begins a command, `> ` goes on with it, everything else is output. */
export function readSteps(block: string): Step[] {
  const steps: { command: string; shown: string }[] = [];
  for (const line of block.split('\n')) {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), shown: '' });
    else if (line.startsWith('> ') && last) last.command += `\n${line.slice(2)}`;
    else if (last) last.shown += `${line}\n`;
  }
  return steps;
}

/** Types the commands into one shell, in order, and answers what each of them printed. */
export async function runSteps(steps: readonly Step[], cwd: string): Promise<string[]> {
  const script = steps.map(({ command }) => `${command}\nprintf '${END_OF_STEP}'\n`).join('');
  const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd, maxBuffer: 16 * 1024 * 1024 });
  return stdout.split(END_OF_STEP).slice(0, steps.length);
}

const END_OF_STEP = '@@end-of-step@@';
