import { expect, test } from 'vitest';
import { startApp } from '../../start-app.ts';
import { askRaw } from '../agents.ts';
import { createFixtureServer } from './fixture-server.ts';
import { runSuite } from './run-suite.ts';

const open = { security: { enable_auth: false } };
const TIMEOUT = { timeout: 120_000 };

/** Some scenarios pass against a server that is not there: first it must answer. */
async function startChecked(options: Parameters<typeof startApp>[0]): Promise<string> {
  const { url } = await startApp(options);
  expect((await askRaw({ url, method: 'server/discover' })).result.supportedVersions).toEqual(['2026-07-28']);
  return url;
}

test(
  'the app with the fixtures of the suite meets every requirement of 2026-07-28, and of its extensions',
  TIMEOUT,
  async () => {
    const url = await startChecked({ config: open, createMcpServer: createFixtureServer });
    const { exitCode, output, passed, failing } = await runSuite('newest', {
      url,
      args: ['--requirements', '2026-07-28'],
    });
    expect({ exitCode, failing }, output).toEqual({ exitCode: 0, failing: [] });
    expect(passed).toBe(194);
  },
);

/** Each has the server ask the client in the middle of a call, for which a legacy client needs a server with sessions. */
const NEEDS_SESSIONS = [
  'tools-call-sampling',
  'tools-call-elicitation',
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
];

test.for(['2025-11-25', 'the line before'] as const)(
  'with the older wire all passes but what needs sessions: %s',
  TIMEOUT,
  async (line) => {
    const url = await startChecked({ config: open, createMcpServer: createFixtureServer });
    const { exitCode, output, passed, failing } =
      line === '2025-11-25'
        ? await runSuite('newest', { url, args: ['--requirements', line], expectedFailures: NEEDS_SESSIONS })
        : await runSuite('legacy', { url, expectedFailures: NEEDS_SESSIONS });
    expect({ exitCode, failing }, output).toEqual({ exitCode: 0, failing: NEEDS_SESSIONS });
    expect(passed).toBe(line === '2025-11-25' ? 67 : 28);
  },
);

const WITHOUT_FIXTURES = {
  newest: [
    ['tools-list', 4],
    ['resources-list', 2],
    ['prompts-list', 2],
    ['dns-rebinding-protection', 2],
    ['caching', 7],
    ['sep-2164-resource-not-found', 4],
    ['http-header-validation', 14],
  ],
  legacy: [
    ['server-initialize', 1],
    ['ping', 1],
    ['tools-list', 1],
    ['resources-list', 1],
    ['prompts-list', 1],
    ['dns-rebinding-protection', 2],
  ],
} as const;

test.for(['newest', 'legacy'] as const)(
  'the app as it ships passes what needs no fixtures: %s',
  TIMEOUT,
  async (suite) => {
    const url = await startChecked({ config: open });
    const revision = suite === 'newest' ? ['--spec-version', '2026-07-28'] : [];
    for (const [scenario, checks] of WITHOUT_FIXTURES[suite]) {
      const { exitCode, passed, output } = await runSuite(suite, { url, args: ['--scenario', scenario, ...revision] });
      expect({ scenario, exitCode, passed }, output).toEqual({ scenario, exitCode: 0, passed: checks });
    }
  },
);
