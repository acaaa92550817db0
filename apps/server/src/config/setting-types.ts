import * as z from 'zod';

import { findByteSize } from './byte-size.ts';
import { isAddressOrNetwork } from '../address.ts';
import { databaseUrlForms, isDatabaseUrl } from './database-url.ts';

// Each type describes what it allows: a refusal quotes the description after "allowed is".

export const wholeNumber = (min: number, max: number) =>
  z.int().min(min).max(max).describe(`a whole number from ${min} to ${max}`);

export const ratio = () => z.number().min(0).max(1).describe('a number from 0 to 1');

export const flag = () => z.boolean().describe('true or false');

export const text = (allowed: string) => z.string().min(1).describe(allowed);

/** Text that no message, log or print-out shows. */
export const secret = (minCharacters: number) =>
  z
    .string()
    .min(minCharacters)
    .meta({ description: `text of at least ${minCharacters} characters`, isSecret: true });

const keyForms = '32 bytes in base64, as made by "openssl rand -base64 32"';

export const encryptionKey = () => z.string().refine(isEncryptionKey).meta({ description: keyForms, isSecret: true });

export const encryptionKeyList = () =>
  z.array(z.string().refine(isEncryptionKey)).meta({ description: `a list of keys of ${keyForms}`, isSecret: true });

export const choice = <const Names extends readonly string[]>(names: Names) =>
  z.enum(names).describe(`one of ${names.join(', ')}`);

/** As `choice`, in any letter case. */
export const choiceInAnyCase = <const Names extends readonly string[]>(names: Names) =>
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(names))
    .describe(`one of ${names.join(', ')}`);

const maxByteSize = 2 ** 30;

/** Bytes, as a number or as text with a unit; always a number once parsed. */
export const byteSize = () =>
  z
    .union([z.number(), z.string().transform(findByteSize)])
    .pipe(z.int().min(1).max(maxByteSize))
    .describe('a number of bytes, or text such as "512KiB" or "2MiB", from 1 to 1GiB');

export const databaseUrl = () => z.string().refine(isDatabaseUrl).describe(databaseUrlForms);

/** Without user and password: credentials go into headers, and nothing has to hide them in a URL. */
export const httpUrl = () =>
  z.string().refine(isHttpUrl).describe('an http or https URL without user, password, query and fragment');

export const originList = () =>
  z.array(z.string().refine(isOrigin)).describe('a list of origins such as "https://app.example.com", or "*"');

export const hostList = () =>
  z.array(z.string().refine(isHost)).describe('a list of host names without port, such as "tasks.example.com", or "*"');

export const addressList = () =>
  z
    .array(z.string().refine(isAddressOrNetwork))
    .describe('a list of addresses and networks such as "10.0.0.0/8" or "::1", but not of all addresses');

const isEncryptionKey = (key: string): boolean => /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(key);

const isHost = (host: string): boolean => host === '*' || /^[\w-]+(\.[\w-]+)*$/.test(host);

const isHttpUrl = (text: string): boolean => {
  const url = URL.parse(text);
  const hasMore = url !== null && [url.username, url.password, url.search, url.hash].some((part) => part !== '');
  return url !== null && /^https?:$/.test(url.protocol) && !hasMore;
};

const isOrigin = (origin: string): boolean =>
  origin === '*' || (URL.canParse(origin) && new URL(origin).origin === origin);
