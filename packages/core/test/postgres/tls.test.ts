import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { aTask } from '../builders.ts';
import { startPostgres } from '../postgres-server.ts';
import { openReplica } from './replicas.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

/** A certificate for 127.0.0.1 that vouches for itself: its own CA. */
async function createCertificate(): Promise<{ file: string; certificate: string; key: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-tls-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [file, keyFile] = [join(folder, 'ca.crt'), join(folder, 'ca.key')];
  const subject = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    keyFile,
    '-out',
    file,
  ]);
  expect(made.status, String(made.stderr)).toBe(0);
  return { file, certificate: await readFile(file, 'utf8'), key: await readFile(keyFile, 'utf8') };
}

test('sslmode means what it means to libpq', { timeout: 20_000 }, async (context) => {
  if (!hasOpenssl) return context.skip('openssl, which makes the certificate, is not on this machine');
  const tls = await createCertificate();
  const server = await startPostgres({ tls });
  onTestFinished(() => server.stop());
  const url = await server.createDatabase();
  const ca = `sslrootcert=${encodeURIComponent(tls.file)}`;

  await expect(openReplica(`${url}?sslmode=verify-full`), 'an unknown CA').rejects.toThrow(/self-signed certificate/);
  const byOtherName = `${url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&${ca}`;
  await expect(openReplica(byOtherName), 'another name').rejects.toThrow(/does not match certificate|altnames/);
  for (const mode of [`sslmode=verify-full&${ca}`, `sslmode=verify-ca&${ca}`, 'sslmode=require']) {
    const { core } = await openReplica(`${url}?${mode}`);
    expect((await core.createTask(aTask())).status, mode).toBe('waiting');
  }
});

test('a server that cannot encrypt is refused when encryption is required', { timeout: 20_000 }, async () => {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  await expect(openReplica(`${await server.createDatabase()}?sslmode=require`)).rejects.toThrow(/does not support SSL/);
});
