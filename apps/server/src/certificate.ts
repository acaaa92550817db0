import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createSecureContext, type Server as TlsServer } from 'node:tls';
import type { Logger } from './logging.ts';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

interface CertificatePair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Certificate and private key, which fit together. Throws one line, without a word of what the key's file holds. */
export function readCertificate(files: CertificateFiles): CertificatePair {
  const pair = readFiles(files);
  checkPair(pair, files);
  return pair;
}

const LOOK_MS = 5000;

/**
 * Has a server take a new certificate when the files change. It looks at what they hold, now and then: renewal may write
 * them, rename others over them, or swap the link of a folder above them, and each looks different to a watcher.
 * Connections that stand keep the certificate they began with; a pair that does not fit together changes nothing.
 */
export function followCertificate(options: {
  server: Server;
  files: CertificateFiles;
  logger: Logger;
  lookMs?: number;
}): { stop(): void } {
  const { server, files, logger, lookMs = LOOK_MS } = options;
  let seen = fingerprint(() => readFiles(files));
  const look = (): void => {
    const found = fingerprint(() => readFiles(files));
    if (found === seen) return;
    seen = found;
    try {
      const pair = readCertificate(files);
      toTlsServer(server).setSecureContext(pair);
      logger.info({ file: files.cert, valid_until: validUntil(pair.cert) }, 'certificate replaced');
    } catch (error) {
      logger.error({ reason: (error as Error).message }, 'certificate not replaced: the one in use stays');
    }
  };
  const timer = setInterval(look, lookMs).unref();
  return { stop: () => clearInterval(timer) };
}

function readFiles({ cert, key }: CertificateFiles): CertificatePair {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

function checkPair(pair: CertificatePair, files: CertificateFiles): void {
  try {
    createSecureContext(pair);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(
      `server.tls_cert ${files.cert} and server.tls_key ${files.key} are no certificate with its private key: ${reason}`,
      { cause: error },
    );
  }
}

/** What is seen at a look; a file that cannot be read is a sight of its own. */
function fingerprint(read: () => CertificatePair): string {
  try {
    const { cert, key } = read();
    return Buffer.concat([cert, key]).toString('base64');
  } catch (error) {
    return String(error);
  }
}

function validUntil(cert: Buffer): string {
  return new X509Certificate(cert).validToDate.toISOString();
}

/** Fastify knows of plain servers only; whoever follows a certificate has made one with TLS. */
function toTlsServer(server: Server): TlsServer {
  return server as unknown as TlsServer;
}
