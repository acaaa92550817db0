import { z } from 'zod';

const MAX_LENGTH = 4096;
const DRIVE = /^[A-Za-z]:(?=[\\/])/;
/** What most paths are: POSIX, and normal as they stand. */
const PLAIN = /^(?:\/[^/.\0][^/\0]*)+$/;

/**
 * An absolute path, POSIX (`/srv/repo`) or with a Windows drive (`C:\repo`), normalised once here:
 * `/a//b/./` becomes `/a/b`, `c:\a` becomes `C:/a`. Equal paths are equal strings from here on.
 */
export const WorkDirectory = absolutePath('Work directory');

/** The path a worker asks for; normalised like a work directory. */
export const WorkPath = absolutePath('Work path');

/** A directory that a key is bound to; normalised like a work directory. */
export const PathPrefix = absolutePath('Path prefix');

function absolutePath(name: string) {
  return z
    .string()
    .max(MAX_LENGTH, `${name} must have at most ${MAX_LENGTH} characters`)
    .superRefine((path, context) => {
      const problem = findPathProblem(path);
      if (problem) context.addIssue({ code: 'custom', message: `${name} ${problem}` });
    })
    .overwrite((path) => (findPathProblem(path) ? path : normalizePath(path)))
    .meta({ description: 'Absolute POSIX or Windows drive path, without `..`', examples: ['/srv/repo'] });
}

function findPathProblem(path: string): string | null {
  if (PLAIN.test(path)) return null;
  if (path.includes('\0')) return 'must not contain a NUL character';
  if (!path.startsWith('/') && !DRIVE.test(path)) return 'must be an absolute path';
  const separator = path.startsWith('/') ? '/' : /[\\/]/;
  if (path.split(separator).includes('..')) return 'must not contain ".." segments';
  return null;
}

function normalizePath(path: string): string {
  if (PLAIN.test(path)) return path;
  const isPosix = path.startsWith('/');
  const root = isPosix ? '/' : `${path[0]!.toUpperCase()}:/`;
  const segments = path.slice(isPosix ? 1 : 2).split(isPosix ? '/' : /[\\/]/);
  return root + segments.filter((segment) => segment !== '' && segment !== '.').join('/');
}
