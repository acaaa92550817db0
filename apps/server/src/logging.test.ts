import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { LoggingConfig } from './config/config.ts';
import { createLogger, createLoggers } from './logging.ts';

/** An empty folder, removed when the test is over. */
const aFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'logging-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
};

const aLog = (config: Partial<LoggingConfig> = {}) => {
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const loggers = createLoggers({ ...LoggingConfig.parse({}), ...config }, destination);
  return { loggers, lines };
};

/** Runs a program that logs and exits at once, and answers its standard output. */
const runProgram = (config: Partial<LoggingConfig>): string => {
  const program = `
    import { createLogger } from ${JSON.stringify(import.meta.resolve('./logging.ts'))};
    const logger = createLogger(${JSON.stringify({ ...LoggingConfig.parse({}), ...config })});
    for (let line = 1; line <= 500; line++) logger.info('line ' + line);
    process.exit(0);`;
  return execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
};

test('a line in JSON has the level as a word, the time in UTC with milliseconds and the component', () => {
  const { loggers, lines } = aLog();
  loggers.http.info({ status: 200 }, 'answered');
  expect(JSON.parse(lines.join(''))).toMatchObject({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
    component: 'http',
    status: 200,
    msg: 'answered',
  });
});

test('a line in pretty format is text for people', () => {
  const { loggers, lines } = aLog({ format: 'pretty' });
  loggers.root.warn('disk is nearly full');
  expect(lines.join('')).toMatch(/WARN.*disk is nearly full\n$/);
});

test('lines below the level are not written', () => {
  const { loggers, lines } = aLog({ level: 'warn' });
  loggers.database.info('quiet');
  loggers.database.warn('loud');
  expect(lines).toHaveLength(1);
});

test.for(['json', 'pretty'] as const)('credentials are masked at any depth in %s', (format) => {
  const { loggers, lines } = aLog({ format });
  const secret = 'hunter2"\\x';
  loggers.auth.child({ api_key: secret }).info(
    {
      lease_token: secret,
      req: { headers: { Authorization: `Bearer ${secret}`, 'x-api-key': [secret], cookie: secret } },
      body: { deeper: { tasks: [{ lease_token: secret, leaseToken: secret, task_id: 'kept' }] } },
      config: {
        admin_key: secret,
        encryption_key: secret,
        previous_encryption_keys: [secret, secret],
        password: secret,
        secret,
      },
    },
    'sent Bearer hunter2 to the server',
  );
  expect(lines.join('')).not.toContain('hunter2');
  expect(lines.join('')).toContain('kept');
  if (format === 'json') expect(() => JSON.parse(lines.join('')) as unknown).not.toThrow();
});

test.for(['json', 'pretty'] as const)('nothing is lost when the process exits at once, in %s', (format) => {
  const lines = runProgram({ format }).trimEnd().split('\n');
  expect(lines).toHaveLength(500);
  expect(lines.at(-1)).toContain('line 500');
});

test('a log file is created with its folder, appended to and complete when the process exits at once', () => {
  const file = join(aFolder(), 'logs', 'server.log');
  expect(runProgram({ file })).toBe('');
  runProgram({ file });
  expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(1000);
});

test('a log file that cannot be opened is named', () => {
  const folder = aFolder();
  writeFileSync(join(folder, 'taken'), '');
  const file = join(folder, 'taken', 'server.log');
  expect(() => createLogger({ ...LoggingConfig.parse({}), file })).toThrow(
    `logging.file ${JSON.stringify(file)} cannot be opened`,
  );
});

test.runIf(process.platform === 'linux')(
  'a full disk is reported once, and neither ends the program nor holds its exit',
  () => {
    const { status, stdout, stderr } = runFullDisk();
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'still here' });
    expect(stderr).toBe('the log cannot be written: ENOSPC: no space left on device, write\n');
  },
);

/** Logs to a device that is always full, for long enough that several writes have failed. */
const runFullDisk = () => {
  const program = `
    import { createLogger } from ${JSON.stringify(import.meta.resolve('./logging.ts'))};
    const logger = createLogger(${JSON.stringify({ ...LoggingConfig.parse({}), file: '/dev/full' })});
    let turns = 0;
    const timer = setInterval(() => {
      logger.info('line');
      if (++turns < 20) return;
      clearInterval(timer);
      process.stdout.write('still here', () => process.exit(0));
    }, 5);`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8', timeout: 5000 });
};
