import { isIP } from 'node:net';
import { DomainError } from '@task-orchestrator/core';
import type { IncomingHttpHeaders } from 'node:http';

/**
 * Refuses what a web page could make a browser send: DNS rebinding (a foreign name that leads here) and foreign origins.
 * A rebound name is one that its attacker owns, so it has a dot and is no address. What has no `Origin` is no browser.
 * @param allowedHosts further names of this server; `*` for any.
 * @param allowedOrigins whole origins of pages that may ask; `*` for any.
 */
export function createHostCheck(options: {
  allowedHosts: readonly string[];
  allowedOrigins: readonly string[];
}): (headers: IncomingHttpHeaders) => DomainError | undefined {
  const hosts = new Set(options.allowedHosts.map((host) => host.toLowerCase()));
  const origins = new Set(options.allowedOrigins);
  const isOwnHost = (host: string) =>
    hosts.has('*') || hosts.has(host) || isIP(unbracket(host)) > 0 || !host.includes('.');
  return ({ host = '', origin }) => {
    const name = hostnameOf(`http://${host}`);
    if (name === undefined || !isOwnHost(name)) {
      return new DomainError(
        'FORBIDDEN',
        'This host name is not allowed here; security.allowed_hosts lists those that are',
      );
    }
    if (origin === undefined || origins.has('*') || origins.has(origin)) return undefined;
    const from = hostnameOf(origin);
    if (from !== undefined && (from === name || isLoopback(from))) return undefined;
    return new DomainError('FORBIDDEN', 'Pages of this origin may not ask; security.cors_origins lists those that may');
  };
}

function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname || undefined : undefined;
}

function unbracket(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'));
}
