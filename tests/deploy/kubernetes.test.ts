import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { evaluate } from '@marcbachmann/cel-js';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { loadConfig } from '../../apps/server/src/config/load-config.ts';
import { ROOT } from '../support/processes.ts';

interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

interface Container {
  image: string;
  args?: string[];
  env: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef: { name: string; key: string; optional?: boolean } };
  }[];
  securityContext: object;
}

interface Workload extends KubernetesObject {
  spec: {
    replicas?: number;
    template: { spec: { containers: Container[]; initContainers?: Container[]; volumes: { name: string }[] } };
  };
}

interface Policy extends KubernetesObject {
  spec: { matchConditions: { expression: string }[]; validations: { expression: string }[] };
}

const overlays = ['sqlite', 'postgres'] as const;
const canRender = hasKustomize();
if (!canRender) {
  console.warn('SKIPPED: k8s/ is not checked, since there is no kubectl of version 1.27 or newer (kubectl kustomize)');
}

const rendered = { sqlite: render('sqlite'), postgres: render('postgres') };

test.skipIf(!canRender).each(overlays)('every object of the overlay %s follows its schema', async (overlay) => {
  const objects = rendered[overlay];
  const findings = await Promise.all(objects.map(validate));
  expect(findings.filter((finding) => finding !== undefined)).toEqual([]);
});

test.skipIf(!canRender)('no object has a field that Kubernetes does not know', () => {
  expect(findUnknownFields(Object.values(rendered).flat())).toBe('');
});

test.skipIf(!canRender)('the schemas notice a field that is misspelt, and a value that is wrong', async () => {
  const aService = (spec: object) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec });
  expect(findUnknownFields([aService({ selektor: {} })])).toMatch(/"selektor".* does not exist/);
  expect(await validate(aService({ ports: [{ port: '80' }] }))).toContain('ports/0/port');
});

test.skipIf(!canRender)('the overlay sqlite is one pod with one volume, and refuses to be more', () => {
  const objects = rendered.sqlite;
  expect(namesOf(objects)).toEqual([
    'Ingress/task-orchestrator-ingress',
    'Namespace/task-orchestrator',
    'NetworkPolicy/task-orchestrator',
    'PersistentVolumeClaim/task-orchestrator-data',
    'Service/task-orchestrator-service',
    'ServiceAccount/task-orchestrator',
    'ServiceMonitor/task-orchestrator',
    'StatefulSet/task-orchestrator',
    'ValidatingAdmissionPolicy/task-orchestrator-one-replica',
    'ValidatingAdmissionPolicyBinding/task-orchestrator-one-replica',
  ]);
  expect(workloadOf(objects)).toMatchObject({ kind: 'StatefulSet', spec: { replicas: 1 } });
  expect(find(objects, 'PersistentVolumeClaim')).toMatchObject({ spec: { accessModes: ['ReadWriteOncePod'] } });
  expect(find(objects, 'ValidatingAdmissionPolicy')).toMatchObject({
    spec: { validations: [{ message: expect.stringContaining('k8s/overlays/postgres') as string }] },
  });
});

test.skipIf(!canRender)(
  'the policy of the overlay sqlite refuses a second replica, and what scales to it, alone',
  () => {
    const { matchConditions, validations } = policyOf(rendered.sqlite).spec;
    const isOurs = (name: string) =>
      matchConditions.every(({ expression }) => evaluate(expression, { request: { name } }));
    expect([isOurs('task-orchestrator'), isOurs('database')]).toEqual([true, false]);
    const admits = (spec: object) => validations.every(({ expression }) => evaluate(expression, { object: { spec } }));
    // As in a StatefulSet, where it may be left out, and in a Scale.
    const answers = [{}, { replicas: 0n }, { replicas: 1n }, { replicas: 2n }].map(admits);
    expect(answers).toEqual([true, true, true, false]);
  },
);

test.skipIf(!canRender)('the overlay postgres has three to ten replicas that migrate before they serve', () => {
  const objects = rendered.postgres;
  expect(namesOf(objects)).toEqual([
    'Deployment/task-orchestrator',
    'HorizontalPodAutoscaler/task-orchestrator',
    'Ingress/task-orchestrator-ingress',
    'Namespace/task-orchestrator',
    'NetworkPolicy/task-orchestrator',
    'PodDisruptionBudget/task-orchestrator',
    'Service/task-orchestrator-service',
    'ServiceAccount/task-orchestrator',
    'ServiceMonitor/task-orchestrator',
  ]);
  const { replicas, template } = workloadOf(objects).spec;
  // The autoscaler's to say: a number here would undo its work at each apply.
  expect(replicas).toBeUndefined();
  expect(template.spec.initContainers).toMatchObject([{ name: 'migrate', args: ['--migrate-only'] }]);
  const utilization = (name: string, averageUtilization: number) => ({
    resource: { name, target: { type: 'Utilization', averageUtilization } },
  });
  expect(find(objects, 'HorizontalPodAutoscaler')).toMatchObject({
    spec: { minReplicas: 3, maxReplicas: 10, metrics: [utilization('cpu', 70), utilization('memory', 80)] },
  });
});

test.skipIf(!canRender).each(overlays)('containers of the overlay %s may do as little as they can', (overlay) => {
  const objects = rendered[overlay];
  const { spec } = workloadOf(objects).spec.template;
  expect(spec).toMatchObject({
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  });
  for (const container of containersOf(objects)) {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  }
});

test.skipIf(!canRender).each(overlays)('the server takes the environment of the overlay %s', (overlay) => {
  const secrets = { 'admin-key': 'k'.repeat(48), 'database-url': 'postgres://torc:secret@db:5432/torc' };
  const objects = rendered[overlay];
  for (const { image, args, env } of containersOf(objects)) {
    const given = env.map(({ name, value, valueFrom }) => {
      const { name: secret = '', key = '', optional = false } = valueFrom?.secretKeyRef ?? {};
      if (valueFrom) expect([secret, optional]).toEqual(['task-orchestrator', !(key in secrets)]);
      return [name, value ?? secrets[key as keyof typeof secrets]] as const;
    });
    const { config } = loadConfig({
      configDir: join(ROOT, 'config'),
      env: { APP_ENV: 'production', ...Object.fromEntries(given) },
    });
    expect(config.server.port).toBe(8080);
    if (!args) expect(config.security.allowed_hosts).toContain(hostOf(objects));
    expect(image).toBe(`task-orchestrator:${serverVersion()}`);
  }
});

/** kubectl of Debian 12 brings a kustomize that is too old: it knows no components. */
function hasKustomize(): boolean {
  const { stdout } = spawnSync('kubectl', ['version', '--client'], { encoding: 'utf8' });
  return /Kustomize Version: v[5-9]/.test(stdout ?? '');
}

function render(overlay: string): KubernetesObject[] {
  if (!canRender) return [];
  const text = execFileSync('kubectl', ['kustomize', join(ROOT, 'k8s/overlays', overlay)], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

/** Where the schemas of an object's kind are. */
function packageOf({ apiVersion }: KubernetesObject): string {
  const isOfOperator = apiVersion.startsWith('monitoring.coreos.com/');
  return `${isOfOperator ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'}/${apiVersion}`;
}

async function validate(object: KubernetesObject): Promise<string | undefined> {
  type Model = new (data: object) => { validate(): void };
  const models = (await import(packageOf(object))) as Record<string, Model>;
  const Model = models[object.kind];
  if (!Model) return `${object.apiVersion} has no ${object.kind}`;
  try {
    new Model(object).validate();
    return undefined;
  } catch (error) {
    return `${object.kind}/${object.metadata.name}: ${String(error)}`;
  }
}

/**
 * The schemas let unknown fields pass, as the API once did. The same package's types do not: so the objects are
 * written down as TypeScript, and what the compiler says of them is the answer.
 */
function findUnknownFields(objects: readonly KubernetesObject[]): string {
  const folder = join(ROOT, 'node_modules/.cache/task-orchestrator/kubernetes');
  const lines = objects.map(
    (object, index) =>
      `import type { I${object.kind} as Kind${index} } from '${packageOf(object)}';\n` +
      `export const object${index}: Kind${index} = ${JSON.stringify(object)};\n`,
  );
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'objects.ts');
  writeFileSync(file, lines.join(''));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', ''];
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, ...options, file], { encoding: 'utf8', cwd: folder });
  rmSync(folder, { recursive: true });
  return `${stdout}${stderr}`;
}

function namesOf(objects: readonly KubernetesObject[]): string[] {
  return objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
}

function find(objects: readonly KubernetesObject[], kind: string): KubernetesObject | undefined {
  return objects.find((object) => object.kind === kind);
}

function workloadOf(objects: readonly KubernetesObject[]): Workload {
  return (find(objects, 'StatefulSet') ?? find(objects, 'Deployment')) as Workload;
}

function policyOf(objects: readonly KubernetesObject[]): Policy {
  return find(objects, 'ValidatingAdmissionPolicy') as Policy;
}

function containersOf(objects: readonly KubernetesObject[]): Container[] {
  const { containers, initContainers = [] } = workloadOf(objects).spec.template.spec;
  return [...initContainers, ...containers];
}

function hostOf(objects: readonly KubernetesObject[]): string | undefined {
  const ingress = find(objects, 'Ingress') as { spec: { rules: { host: string }[] } } | undefined;
  return ingress?.spec.rules[0]?.host;
}

function serverVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'apps/server/package.json'), 'utf8')) as { version: string }).version;
}
