import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { codesOf, listBlocks, readDocument, readTable } from '../docs/support/markdown.ts';
import { ROOT } from '../support/processes.ts';

const document = readDocument('docs/deploy.md');
const read = (file: string): unknown => parse(readFileSync(join(ROOT, file), 'utf8'), { merge: true });

test('every file that docs/deploy.md names is there', () => {
  const named = codesOf(document).filter((code) => /^(\.github|deploy|k8s)(\/[\w.-]+)*$|^compose\.yaml$/.test(code));
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
});

test('the table of profiles names the services and the ports of compose.yaml', () => {
  const { services } = read('compose.yaml') as { services: Record<string, { profiles: string[]; ports?: string[] }> };
  for (const [profile, starts, ports] of readTable(document, 'Compose')) {
    const inProfile = Object.entries(services).filter(([, service]) => `\`${service.profiles[0]}\`` === profile);
    expect(new Set(codesOf(starts))).toEqual(new Set(inProfile.map(([name]) => name)));
    const published = inProfile.flatMap(([, service]) => (service.ports ?? []).flatMap(hostPorts));
    expect(new Set(ports?.match(/\d{4,}/g))).toEqual(new Set(published));
  }
});

test('the secret that docs/deploy.md creates has the keys that the manifests cannot do without', () => {
  const created = listBlocks(document, 'sh').flatMap((block) => [...block.matchAll(/--from-literal=([\w-]+)=/g)]);
  const manifests = ['k8s/base/deployment.yaml', 'k8s/overlays/postgres/deployment.yaml'];
  const asked = manifests.flatMap(
    (file) => readFileSync(join(ROOT, file), 'utf8').match(/(?<=\bkey: )[\w-]+$(?!\s+optional: true)/gm) ?? [],
  );
  expect(new Set(created.map(([, key]) => key))).toEqual(new Set(asked));
});

/** `127.0.0.1:8081-8082:8080` publishes 8081 and 8082. */
function hostPorts(published: string): string[] {
  return published.split(':')[1]?.split('-') ?? [];
}
