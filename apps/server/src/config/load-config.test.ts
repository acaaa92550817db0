import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { ConfigError } from './config-error.ts';
import { Config } from './config.ts';
import { loadConfig } from './load-config.ts';
import type { LoadConfigOptions } from './load-config.ts';

/** A folder with these files, removed when the test is over. */
const aFolder = (files: Record<string, string> = {}): string => {
  const folder = mkdtempSync(join(tmpdir(), 'config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
};

const load = (options: LoadConfigOptions = {}) => loadConfig({ configDir: aFolder(), env: {}, ...options });

const refusal = (options: LoadConfigOptions): string => {
  try {
    load(options);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  return expect.fail('the configuration was accepted');
};

describe('layers', () => {
  test('without files and variables the built-in defaults stand', () => {
    const { config, environment, sources } = load({ env: { APP_ENV: 'production' } });
    expect(config).toEqual(Config.parse({}));
    expect(environment).toBe('production');
    expect(new Set(Object.values(sources))).toEqual(new Set(['built-in default']));
  });

  test('each layer wins over the ones before it', () => {
    const names = ['max_connections', 'connection_timeout', 'idle_timeout', 'busy_timeout', 'min_connections'];
    const layer = (value: number) =>
      `[database]\n${names
        .slice(value - 1)
        .map((name) => `${name} = ${value}`)
        .join('\n')}`;
    const configDir = aFolder({ 'default.toml': layer(1), 'test.toml': layer(2), 'local.toml': layer(3) });
    const { config, sources } = loadConfig({
      configDir,
      env: { APP_ENV: 'test', APP_DATABASE_BUSY_TIMEOUT: '4', APP_DATABASE_MIN_CONNECTIONS: '4' },
      overrides: { database: { min_connections: 0 } },
    });
    expect(config.database).toMatchObject({
      max_connections: 1,
      connection_timeout: 2,
      idle_timeout: 3,
      busy_timeout: 4,
      min_connections: 0,
    });
    expect(sources).toMatchObject({
      'database.url': 'built-in default',
      'database.max_connections': join(configDir, 'default.toml'),
      'database.connection_timeout': join(configDir, 'test.toml'),
      'database.idle_timeout': join(configDir, 'local.toml'),
      'database.busy_timeout': 'environment variable APP_DATABASE_BUSY_TIMEOUT',
      'database.min_connections': 'start option',
    });
  });

  test('only the file of the chosen environment is read', () => {
    const configDir = aFolder({ 'production.toml': '[server]\nport = 1', 'test.toml': '[server]\nport = 2' });
    expect(loadConfig({ configDir, env: { APP_ENV: 'test' } }).config.server.port).toBe(2);
    expect(loadConfig({ configDir, env: {} }).config.server.port).toBe(8080);
  });

  test.for([
    ['development', 'pretty'],
    ['test', 'json'],
    ['production', 'json'],
  ] as const)('the log format of %s is %s unless a layer says otherwise', ([APP_ENV, format]) => {
    expect(load({ env: { APP_ENV } }).config.logging.format).toBe(format);
    expect(load({ env: { APP_ENV, APP_LOGGING_FORMAT: 'json' } }).config.logging.format).toBe('json');
  });

  test('an override that is undefined counts as not given', () => {
    expect(load({ overrides: { server: { port: undefined } } }).config.server.port).toBe(8080);
  });
});

describe('environment variables', () => {
  test('text becomes what the key expects', () => {
    const { config } = load({
      env: {
        APP_TASK_MAX_TASK_RETRIES: '7',
        APP_TASK_REQUIRE_LEASE_TOKEN: '1',
        APP_DATABASE_ENABLE_WAL_MODE: 'false',
        APP_SECURITY_ENABLE_AUTH: '0',
        APP_SECURITY_METRICS_REQUIRE_KEY: 'true',
        APP_SECURITY_CORS_ORIGINS: 'https://a.example, http://localhost:5173',
        APP_SECURITY_ADMIN_KEY: '1234567890123456',
        APP_SERVER_BODY_LIMIT: '512KiB',
        APP_TASK_MAX_LOG_BYTES: '4096',
        APP_LOGGING_LEVEL: 'WARN',
      },
    });
    expect(config.task).toMatchObject({ max_task_retries: 7, require_lease_token: true, max_log_bytes: 4096 });
    expect(config.database.enable_wal_mode).toBe(false);
    expect(config.security).toMatchObject({
      enable_auth: false,
      metrics_require_key: true,
      cors_origins: ['https://a.example', 'http://localhost:5173'],
      admin_key: '1234567890123456',
    });
    expect(config.server.body_limit).toBe(512 * 1024);
    expect(config.logging.level).toBe('warn');
  });

  test('an empty list is written as empty text', () => {
    const configDir = aFolder({ 'local.toml': '[security]\ncors_origins = ["*"]' });
    expect(load({ configDir, env: { APP_SECURITY_CORS_ORIGINS: '' } }).config.security.cors_origins).toEqual([]);
  });

  test('variables of other programs are ignored', () => {
    expect(() => load({ env: { APPLE: '1', PORT: 'x', MY_APP_SERVER_PORT: 'x' } })).not.toThrow();
  });
});

describe('variables of OpenTelemetry', () => {
  const OTEL = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_SERVICE_NAME: 'tasks' };

  test('they win over files, and variables of our own over them', () => {
    const configDir = aFolder({ 'default.toml': '[tracing]\nservice_name = "from a file"' });
    const { config, sources } = load({ configDir, env: { ...OTEL, APP_TRACING_ENDPOINT: 'https://own:4318' } });
    expect(config.tracing).toEqual({ endpoint: 'https://own:4318', sample_ratio: 1, service_name: 'tasks' });
    expect(sources['tracing.service_name']).toBe('environment variable OTEL_SERVICE_NAME');
  });

  test('empty ones count as absent, and all of them when the SDK is switched off', () => {
    expect(load({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: '' } }).config.tracing.endpoint).toBeUndefined();
    expect(load({ env: { ...OTEL, OTEL_SDK_DISABLED: 'true' } }).config.tracing.endpoint).toBeUndefined();
  });

  test.for(['collector:4318', 'grpc://collector', 'http://user:hush@collector:4318', 'http://collector?key=1'])(
    'the endpoint %s is refused with the name of the variable',
    (endpoint) => {
      const message = refusal({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
      expect(message).toMatch(/^tracing\.endpoint = .* \(from environment variable OTEL_EXPORTER_OTLP_ENDPOINT\)/);
      expect(message).toContain('allowed is an http or https URL without user, password, query and fragment');
      expect(message).not.toContain('hush');
    },
  );

  test.for(['1.5', '-0.1', 'half'])('the ratio %s is refused', (ratio) => {
    expect(refusal({ env: { APP_TRACING_SAMPLE_RATIO: ratio } })).toContain('allowed is a number from 0 to 1');
  });
});

describe('refusals', () => {
  const inFile = (toml: string) => ({ configDir: aFolder({ 'local.toml': toml }) });
  const inEnv = (env: Record<string, string>) => ({ env });

  test.for([
    ['APP_SERVER_PORT', 'http', '"http"', 'server.port', 'a whole number from 0 to 65535'],
    ['APP_SERVER_PORT', '65536', '65536', 'server.port', 'a whole number from 0 to 65535'],
    ['APP_SERVER_PORT', '80.5', '80.5', 'server.port', 'a whole number from 0 to 65535'],
    ['APP_SERVER_PORT', '', '""', 'server.port', 'a whole number from 0 to 65535'],
    ['APP_SERVER_PORT', '0x50', '"0x50"', 'server.port', 'a whole number from 0 to 65535'],
    ['APP_SERVER_BODY_LIMIT', '2MB', '"2MB"', 'server.body_limit', 'a number of bytes, or text such as "512KiB"'],
    ['APP_SERVER_BODY_LIMIT', '2GiB', '"2GiB"', 'server.body_limit', 'a number of bytes, or text such as "512KiB"'],
    ['APP_SERVER_TLS_CERT', '', '""', 'server.tls_cert', 'the path of a PEM file'],
    ['APP_TASK_RETENTION_DAYS', '-1', '-1', 'task.retention_days', 'a whole number from 1 to 36500'],
    ['APP_LOGGING_LEVEL', 'loud', '"loud"', 'logging.level', 'one of trace, debug, info, warn, error'],
    ['APP_SECURITY_ENABLE_AUTH', 'yes', '"yes"', 'security.enable_auth', 'true or false'],
    ['APP_SECURITY_CORS_ORIGINS', 'https://a.b/', '["https://a.b/"]', 'security.cors_origins', 'a list of origins'],
    [
      'APP_SECURITY_TRUSTED_PROXIES',
      '0.0.0.0/0',
      '["0.0.0.0/0"]',
      'security.trusted_proxies',
      'a list of addresses and networks',
    ],
    ['APP_SERVER_MAX_CONNECTIONS', '0', '0', 'server.max_connections', 'a whole number from 1 to 1000000'],
    ['APP_DATABASE_DURABILITY', 'none', '"none"', 'database.durability', 'one of full, normal'],
    ['APP_DATABASE_URL', 'mysql://db', '"mysql://db"', 'database.url', 'sqlite://./relative/path.db'],
  ] as const)(
    '%s=%s is refused with value, key, variable and what is allowed',
    ([name, value, shown, key, allowed]) => {
      const line = refusal(inEnv({ [name]: value }));
      expect(line).toContain(`${key} = ${shown} (from environment variable ${name}): allowed is ${allowed}`);
      expect(line).not.toContain('\n');
    },
  );

  test.for([
    ['[server]\nport = "80"', 'server.port = "80"', 'a whole number'],
    ['[server]\nport = nan', 'server.port = NaN', 'a whole number'],
    ['[server]\nhost = 1979-05-27', 'server.host = {…}', 'a host name'],
    ['[security]\nenable_auth = 1', 'security.enable_auth = 1', 'true or false'],
    ['[security]\ncors_origins = "*"', 'security.cors_origins = "*"', 'a list of origins'],
    ['[database]\nurl = "a\\nb"', 'database.url = "a\\nb"', 'sqlite://'],
  ] as const)('%j in a file is refused with the path of the file', ([toml, shown, allowed]) => {
    const options = inFile(toml);
    const line = refusal(options);
    expect(line).toContain(`${shown} (from ${join(options.configDir, 'local.toml')}): allowed is ${allowed}`);
    expect(line).not.toContain('\n');
  });

  test('a bad value is refused although a later layer overrides it', () => {
    expect(refusal({ ...inFile('[server]\nport = -1'), ...inEnv({ APP_SERVER_PORT: '80' }) })).toContain('port = -1');
  });

  test.for([
    [
      '[task]\nmax_retries = 5',
      'task.max_retries = 5',
      'did you mean task.max_task_retries? allowed in section task are',
    ],
    ['[server]\nworkers = 4', 'server.workers = 4', 'unknown key; allowed in section server are host, port'],
    ['port = 1', 'port = 1', 'allowed sections are database, server, task, logging, security'],
    ['server = 1', 'server = 1', 'unknown key'],
    ['[servers]\nport = 1', 'servers = {…}', 'allowed sections are'],
    ['[server.tls]\ncert = "a"', 'server.tls = {…}', 'allowed in section server are'],
    ['[server]\n"a\\nb" = 1', 'server.a b = 1', 'unknown key'],
    ['[server]\n__proto__ = 1', 'server.__proto__ = 1', 'unknown key'],
    ['[constructor]\nname = 1', 'constructor = {…}', 'unknown key'],
  ] as const)('the unknown key in %j is refused with the known ones', ([toml, shown, claim]) => {
    const options = inFile(toml);
    const line = refusal(options);
    expect(line).toContain(`${shown} (from ${join(options.configDir, 'local.toml')}): unknown key`);
    expect(line).toContain(claim);
    expect(line).not.toContain('\n');
  });

  test('an unknown variable is refused with the name that was probably meant', () => {
    expect(refusal(inEnv({ APP_TASK_MAX_RETRIES: '5' }))).toMatch(
      /^APP_TASK_MAX_RETRIES = "5" \(from environment variable APP_TASK_MAX_RETRIES\): unknown key, did you mean APP_TASK_MAX_TASK_RETRIES\? allowed in section task are max_concurrent_tasks, /,
    );
    expect(refusal(inEnv({ APP_PORT: '5' }))).toContain('allowed sections are database');
    expect(refusal(inEnv({ APP_SERVER_port: '5' }))).toContain('did you mean APP_SERVER_PORT?');
  });

  test.for(['prod', '', 'local', 'Production'])('APP_ENV "%s" is refused with the three that exist', (APP_ENV) => {
    expect(refusal(inEnv({ APP_ENV }))).toBe(
      `APP_ENV = "${APP_ENV}" (from the environment): allowed is one of development, production, test`,
    );
  });

  test('fewer connections at most than at least are refused with both sources', () => {
    expect(
      refusal({ overrides: { database: { min_connections: 20 } }, env: { APP_DATABASE_MAX_CONNECTIONS: '15' } }),
    ).toBe(
      'database.min_connections = 20 (from start option): allowed is at most database.max_connections (15, from environment variable APP_DATABASE_MAX_CONNECTIONS)',
    );
  });

  test('a certificate without its key is refused, and a key without its certificate', () => {
    expect(refusal(inEnv({ APP_SERVER_TLS_CERT: 'c.pem' }))).toBe(
      'server.tls_cert = "c.pem" (from environment variable APP_SERVER_TLS_CERT): allowed is a certificate only together with server.tls_key (not set)',
    );
    expect(refusal(inEnv({ APP_SERVER_TLS_KEY: 'k.pem' }))).toBe(
      'server.tls_key = "k.pem" (from environment variable APP_SERVER_TLS_KEY): allowed is a private key only together with server.tls_cert (not set)',
    );
    expect(() => load(inEnv({ APP_SERVER_TLS_CERT: 'c.pem', APP_SERVER_TLS_KEY: 'k.pem' }))).not.toThrow();
  });

  test('a file that is no TOML is refused with its path and line', () => {
    const options = inFile('[server]\nport = = 1\n');
    const line = refusal(options);
    expect(line).toContain(`${join(options.configDir, 'local.toml')} line 2 column`);
    expect(line).toContain('allowed is TOML');
    expect(line).not.toContain('\n');
  });

  test('a file that cannot be read is refused', () => {
    const configDir = aFolder();
    mkdirSync(join(configDir, 'local.toml'));
    expect(refusal({ configDir })).toContain(`${join(configDir, 'local.toml')} cannot be read (EISDIR)`);
  });
});

const KEY = Buffer.alloc(32).toString('base64');

describe('secrets', () => {
  test.for([
    ['an admin key that is too short', { APP_SECURITY_ADMIN_KEY: 'hunter2' }],
    ['a misspelt admin key', { APP_SECURITY_ADMIN_KYE: 'hunter2' }],
    ['an encryption key that is none', { APP_DATABASE_ENCRYPTION_KEY: 'hunter2' }],
    ['a previous encryption key that is none', { APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: `${KEY},hunter2` }],
    ['a misspelt list of encryption keys', { APP_DATABASE_PREVIOUS_ENCRYPTION_KEY: 'hunter2' }],
    ['a misspelt encryption key', { APP_DATABASE_ENCRYPTIONKEY: 'hunter2' }],
    ['an unknown password', { APP_DB_PASS: 'hunter2' }],
    ['a database URL of an unknown engine', { APP_DATABASE_URL: 'mysql://app:hunter2@db/tasks' }],
    ['a malformed database URL', { APP_DATABASE_URL: 'postgres://app:hun/ter2:hunter2@db:x/tasks' }],
    ['a misspelt database URL', { APP_DATABASE_URI: 'postgres://app:hunter2@db/tasks' }],
  ] as const)('%s is refused without showing it', ([, env]) => {
    const line = refusal({ env });
    expect(line).toContain('***');
    expect(line).not.toContain('hunter2');
  });

  test.for([
    ['too short', Buffer.alloc(31).toString('base64')],
    ['too long', Buffer.alloc(33).toString('base64')],
    ['in hex', Buffer.alloc(32).toString('hex')],
    ['without its end', KEY.slice(0, -1)],
    ['empty', ''],
  ] as const)('an encryption key that is %s says what is allowed', ([, value]) => {
    expect(refusal({ env: { APP_DATABASE_ENCRYPTION_KEY: value } })).toBe(
      'database.encryption_key = "***" (from environment variable APP_DATABASE_ENCRYPTION_KEY): allowed is 32 bytes in base64, as made by "openssl rand -base64 32"',
    );
  });

  test('previous encryption keys are refused without a present one, and read with it', () => {
    const env = { APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: `${KEY}, ${KEY}` };
    expect(refusal({ env })).toBe(
      'database.previous_encryption_keys = ["***", "***"] (from environment variable APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS): allowed is only together with database.encryption_key (not set)',
    );
    const { database } = load({ env: { ...env, APP_DATABASE_ENCRYPTION_KEY: KEY } }).config;
    expect(database).toMatchObject({ encryption_key: KEY, previous_encryption_keys: [KEY, KEY] });
  });

  test('an admin key that is too short says what is allowed', () => {
    expect(refusal({ env: { APP_SECURITY_ADMIN_KEY: '123456789012345' } })).toBe(
      'security.admin_key = "***" (from environment variable APP_SECURITY_ADMIN_KEY): allowed is text of at least 16 characters',
    );
  });

  test('a syntax error beside a secret shows neither in the message nor in the cause', () => {
    const configDir = aFolder({ 'local.toml': '[security]\nadmin_key = "hunter2\nenable_auth = true' });
    try {
      load({ configDir });
      expect.fail('the configuration was accepted');
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).stack).not.toContain('hunter2');
      expect((error as ConfigError).cause).toBeUndefined();
    }
  });
});
