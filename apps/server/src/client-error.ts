import { HTTP_STATUS, type ErrorCode } from '@task-orchestrator/contract';
import type { Socket } from 'node:net';
import type { ConnectionError } from 'fastify';
import { http } from './node-http.ts';
import { takeRequestId } from './request-id.ts';
import { wrapError } from './transports/rest/envelope.ts';

/** Answers what Node could not read as HTTP, in the envelope like everything else, and closes the connection. */
export function answerClientError(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  // Nothing can be said before hands are shaken, and an answer would wait for it for ever.
  if (/^ERR_(TLS|SSL)_/.test(error.code)) return void socket.destroy();
  // An answer that has begun cannot be taken back.
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: { headersSent?: boolean } };
  if (!socket.writable || answer?.headersSent) return void socket.destroy(error);
  const { status, code, message } = describe(error);
  const json = wrapError({ code, message, details: null });
  socket.end(
    [
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? ''}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(json)}`,
      'cache-control: no-store',
      `x-request-id: ${takeRequestId({ headers: {} })}`,
      'connection: close',
      '',
      json,
    ].join('\r\n'),
  );
}

function describe({ code, rawPacket }: ConnectionError): { status: number; code: ErrorCode; message: string } {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return isLongUrl(rawPacket)
      ? { status: HTTP_STATUS.URI_TOO_LONG, code: 'URI_TOO_LONG', message: 'The URL is too long' }
      : { status: 431, code: 'VALIDATION_ERROR', message: 'The headers are too large' };
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return { status: 408, code: 'VALIDATION_ERROR', message: 'The request did not arrive in time' };
  }
  return { status: 400, code: 'VALIDATION_ERROR', message: 'The request is not valid HTTP' };
}

function isLongUrl(packet: unknown): boolean {
  if (!Buffer.isBuffer(packet)) return false;
  const lineEnd = packet.indexOf('\r\n');
  return lineEnd < 0 || lineEnd > LONG_URL;
}

const LONG_URL = 8192;
