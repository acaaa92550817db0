import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { followCertificate, readCertificate } from '../src/certificate.ts';
import { createLogger } from '../src/logging.ts';
import { startApp } from './start-app.ts';

const TLS = join(import.meta.dirname, 'tls');
const OLD = { cert: join(TLS, 'cert.pem'), key: join(TLS, 'key.pem') };
const RENEWED = { cert: join(TLS, 'renewed-cert.pem'), key: join(TLS, 'renewed-key.pem') };
const POLL = { timeout: 8000, interval: 20 };

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-tls-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function filesIn(folder: string) {
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  await copyFile(OLD.cert, files.cert);
  await copyFile(OLD.key, files.key);
  return files;
}

/** A server that follows the files, and what it has logged. */
async function startFollowing(files: { cert: string; key: string }) {
  const server = createServer(readCertificate(files), (_request, response) => response.end('here'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const lines: { msg: string; reason?: string; valid_until?: string }[] = [];
  const logger = createLogger(
    { level: 'info', format: 'json' },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const following = followCertificate({ server: server as unknown as Server, files, logger, lookMs: 10 });
  onTestFinished(() => {
    following.stop();
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, lines };
}

async function shakeHands(port: number): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

async function fingerprintAt(port: number): Promise<string> {
  const socket = await shakeHands(port);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

const fingerprintOf = async (file: string) => new X509Certificate(await readFile(file)).fingerprint256;

test('a certificate renewed by renaming files is used for new connections, and those that stand go on', async () => {
  const folder = await aFolder();
  const files = await filesIn(folder);
  const { port, lines } = await startFollowing(files);
  expect(await fingerprintAt(port)).toBe(await fingerprintOf(OLD.cert));
  const standing = await shakeHands(port);

  for (const name of ['cert', 'key'] as const) {
    await copyFile(RENEWED[name], join(folder, 'new'));
    await rename(join(folder, 'new'), files[name]);
  }
  await expect.poll(() => fingerprintAt(port), POLL).toBe(await fingerprintOf(RENEWED.cert));
  expect(lines.at(-1)).toMatchObject({ msg: 'certificate replaced', valid_until: expect.stringMatching(/^\d{4}-/) });
  standing.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  expect(String((await once(standing, 'data'))[0])).toContain('200 OK');
});

test('a certificate renewed by swapping the link of its folder, as Kubernetes does, is used', async () => {
  const folder = await aFolder();
  const versions = { old: join(folder, '..v1'), renewed: join(folder, '..v2') };
  for (const [version, files] of [
    [versions.old, OLD],
    [versions.renewed, RENEWED],
  ] as const) {
    await mkdir(version);
    await copyFile(files.cert, join(version, 'tls.crt'));
    await copyFile(files.key, join(version, 'tls.key'));
  }
  await symlink('..v1', join(folder, '..data'));
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  await symlink('..data/tls.crt', files.cert);
  await symlink('..data/tls.key', files.key);
  const { port, lines } = await startFollowing(files);

  await symlink('..v2', join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  await rm(versions.old, { recursive: true });
  await expect.poll(() => fingerprintAt(port), POLL).toBe(await fingerprintOf(RENEWED.cert));
  expect(lines.map(({ msg }) => msg)).toEqual(['certificate replaced']);
});

describe('what is no renewal leaves the old certificate in use, and is logged once', () => {
  test.for([
    ['a key that does not fit', 'cert', readFileSync(RENEWED.cert)],
    ['a file that is none', 'cert', 'not a certificate'],
    ['an empty file', 'key', ''],
  ] as const)('%s', async ([, name, content]) => {
    const files = await filesIn(await aFolder());
    const { port, lines } = await startFollowing(files);
    await writeFile(files[name], content);
    await expect.poll(() => lines.length, POLL).toBe(1);
    expect(lines[0]).toMatchObject({ msg: 'certificate not replaced: the one in use stays' });
    expect(lines[0]?.reason).toContain(
      `server.tls_cert ${files.cert} and server.tls_key ${files.key} are no certificate`,
    );
    expect(JSON.stringify(lines)).not.toContain('PRIVATE KEY');
    expect(await fingerprintAt(port)).toBe(await fingerprintOf(OLD.cert));

    await copyFile(RENEWED.cert, files.cert);
    await copyFile(RENEWED.key, files.key);
    await expect.poll(() => fingerprintAt(port), POLL).toBe(await fingerprintOf(RENEWED.cert));
  });

  test('a file that is gone', async () => {
    const files = await filesIn(await aFolder());
    const { port, lines } = await startFollowing(files);
    await rm(files.cert);
    await expect.poll(() => lines.length, POLL).toBe(1);
    expect(lines[0]?.reason).toContain('ENOENT');
    expect(await fingerprintAt(port)).toBe(await fingerprintOf(OLD.cert));
  });
});

test('the service follows the files of its configuration, and over TLS asks browsers to stay there', async () => {
  const files = await filesIn(await aFolder());
  const { url } = await startApp({ config: { server: { tls_cert: files.cert, tls_key: files.key } } });
  const port = Number(new URL(url).port);
  const socket = await shakeHands(port);
  socket.write('GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n');
  expect(String((await once(socket, 'data'))[0])).toContain('strict-transport-security: max-age=31536000\r\n');
  await copyFile(RENEWED.cert, files.cert);
  await copyFile(RENEWED.key, files.key);
  await expect.poll(() => fingerprintAt(port), POLL).toBe(await fingerprintOf(RENEWED.cert));
});
