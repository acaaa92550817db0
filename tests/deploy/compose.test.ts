import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DCLinter } from 'dclint';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../apps/server/src/config/load-config.ts';
import { ROOT } from '../support/processes.ts';

interface Service {
  image?: string;
  profiles?: string[];
  volumes?: string[];
  environment?: Record<string, string>;
}

const read = (file: string): unknown => parse(readFileSync(join(ROOT, file), 'utf8'), { merge: true });
const { services } = read('compose.yaml') as { services: Record<string, Service> };

/** Matters of taste: the order of things, and quotes. */
const OF_TASTE = [
  'no-quotes-in-volumes',
  'service-dependencies-alphabetical-order',
  'service-keys-order',
  'services-alphabetical-order',
  'top-level-properties-order',
];

test('compose.yaml follows the schema of the Compose specification, and a linter finds nothing', () => {
  const rules = Object.fromEntries(OF_TASTE.map((rule) => [rule, 0] as const));
  const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] });
  expect(linter.lintFiles([join(ROOT, 'compose.yaml')], false)).toMatchObject([{ messages: [] }]);
});

test('the profiles are default and postgres, and each has what it is there for', () => {
  const inProfile = (profile: string) =>
    Object.keys(services).filter((name) => services[name]?.profiles?.includes(profile));
  expect(inProfile('default')).toEqual(['server']);
  expect(inProfile('postgres').sort()).toEqual(
    ['alloy', 'grafana', 'jaeger', 'loki', 'postgres', 'prometheus', 'replica'].sort(),
  );
  expect(Object.values(services).every(({ profiles }) => profiles?.length === 1)).toBe(true);
});

test('every file that a service mounts is there', () => {
  const mounted = Object.values(services)
    .flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(':')[0] ?? ''))
    .filter((source) => source.startsWith('./'));
  expect(mounted.length).toBeGreaterThan(4);
  expect(mounted.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
});

test('every image of others is pinned by full version', () => {
  const images = Object.values(services).flatMap(({ image = '' }) => (image.startsWith('${TORC_IMAGE') ? [] : [image]));
  expect(images.filter((image) => !/:v?\d+\.\d+(\.\d+)?(-\w+)?$/.test(image))).toEqual([]);
});

test.each(['server', 'replica'])('the server takes the environment of the service %s', (name) => {
  const secrets = { TORC_ADMIN_KEY: 'k'.repeat(48), POSTGRES_PASSWORD: 'p4ssw0rd' };
  const fill = (text: string) =>
    text.replaceAll(/\$\{(\w+):-\}/g, (_all, secret: keyof typeof secrets) => secrets[secret]);
  const given = Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [key, fill(value)] as const);
  const env = { APP_ENV: 'production', ...Object.fromEntries(given) };
  const { config } = loadConfig({ configDir: join(ROOT, 'config'), env });
  expect(config.security.admin_key).toBe(secrets.TORC_ADMIN_KEY);
});

test('every secret of compose.yaml stands in .env.example, and without a value', () => {
  const asked = readFileSync(join(ROOT, 'compose.yaml'), 'utf8').matchAll(/\$\{(\w+):-\}/g);
  const offered = readFileSync(join(ROOT, '.env.example'), 'utf8').match(/^\w+=$/gm);
  expect(offered?.sort()).toEqual([...new Set([...asked].map(([, name]) => `${name}=`))].sort());
});

test('Grafana, Loki, Prometheus and Alloy are pointed at services of compose.yaml', () => {
  const files = [
    'deploy/grafana/provisioning/datasources/datasources.yaml',
    'deploy/alloy/config.alloy',
    'deploy/prometheus/prometheus.yml',
  ];
  const text = files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
  const hosts = [...text.matchAll(/http:\/\/(\w+):\d+/g)].map(([, host]) => host ?? '');
  const { scrape_configs } = read('deploy/prometheus/prometheus.yml') as {
    scrape_configs: { dns_sd_configs?: { names: string[] }[] }[];
  };
  const scraped = scrape_configs.flatMap(({ dns_sd_configs = [] }) => dns_sd_configs.flatMap(({ names }) => names));
  expect(hosts.length).toBeGreaterThan(3);
  expect([...hosts, ...scraped].filter((host) => !(host in services))).toEqual([]);
});
