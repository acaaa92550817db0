import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NODE = join(import.meta.dirname, '../../../../../node_modules/node/bin/node');
const require = createRequire(import.meta.url);

/** The suite for the newest revision, and the line before, which tests the older wire alone. */
const SUITES = {
  newest: require.resolve('@modelcontextprotocol/conformance/dist/index.js'),
  legacy: require.resolve('mcp-conformance-legacy/dist/index.js'),
};

export interface SuiteResult {
  exitCode: number;
  output: string;
  passed: number;
  failed: number;
  /** Scenarios with a failed check. */
  failing: string[];
}

/** Runs the public conformance suite against a server that listens. */
export async function runSuite(
  suite: keyof typeof SUITES,
  { url, args = [], expectedFailures = [] }: { url: string; args?: string[]; expectedFailures?: readonly string[] },
): Promise<SuiteResult> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-conformance-'));
  try {
    const baseline = join(folder, 'baseline.yml');
    await writeFile(baseline, `server:\n${expectedFailures.map((name) => `  - ${name}\n`).join('')}`);
    const known = expectedFailures.length > 0 ? ['--expected-failures', baseline] : [];
    const { exitCode, output } = await runCli(
      [SUITES[suite], 'server', '--url', `${url}/mcp`, ...args, ...known],
      folder,
    );
    const [, passed = 'none', failed = 'none'] =
      /^Total: (\d+) passed, (\d+) failed/m.exec(output) ?? /^Passed: (\d+)\/\d+, (\d+) failed/m.exec(output) ?? [];
    const failing = [...output.matchAll(/^✗ ([\w-]+):/gm)].map(([, name = '']) => name);
    return { exitCode, output, passed: Number(passed), failed: Number(failed), failing };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function runCli(args: readonly string[], cwd: string): Promise<{ exitCode: number; output: string }> {
  return new Promise((done) => {
    execFile(NODE, args, { cwd, maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
      done({ exitCode: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr });
    });
  });
}
