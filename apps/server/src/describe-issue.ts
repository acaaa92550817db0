import type { FieldError } from '@task-orchestrator/contract';
import type { z } from 'zod';

type RawIssue = z.core.$ZodRawIssue;
type Issue = z.core.$ZodIssue;

const NAMES: Partial<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** What is wrong with a field and what is allowed, for people; a message of the schema itself goes before it. */
export function describeIssue(issue: RawIssue): string {
  if (issue.input === undefined && issue.code !== 'custom') return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${NAMES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
    case 'too_small':
      return describeBound(issue.origin, 'at least', Number(issue.minimum));
    case 'too_big':
      return describeBound(issue.origin, 'at most', Number(issue.maximum));
    case 'invalid_format':
      return `must be a valid ${issue.format}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return 'is not a known field';
    case 'invalid_key':
      return 'has a key that is not allowed';
    case 'invalid_union':
      return describeUnion(issue.errors);
    case 'invalid_element':
    case 'custom':
      return 'is not valid';
  }
}

/** One entry a field: an issue about unknown keys names each of them, one within an alternative names the inner field. */
export function listFieldErrors(issues: readonly Issue[]): FieldError[] {
  return issues.flatMap((issue): FieldError[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ field: toField([...issue.path, key]), message: issue.message }));
    }
    const meant = issue.code === 'invalid_union' ? findMeantOption(issue.errors) : undefined;
    if (meant) return listFieldErrors(meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })));
    return [{ field: toField(issue.path), message: issue.message }];
  });
}

function describeBound(origin: string, bound: 'at least' | 'at most', limit: number): string {
  const things = limit === 1 ? '' : 's';
  if (origin === 'string') return `must have ${bound} ${limit} character${things}`;
  if (origin === 'array' || origin === 'set') return `must have ${bound} ${limit} item${things}`;
  return `must be ${bound} ${limit}`;
}

function describeUnion(options: readonly Issue[][]): string {
  const messages = options.flatMap((issues) => issues.slice(0, 1).map((issue) => issue.message));
  return [...new Set(messages)]
    .map((message, index) => (index ? message.replace(/^must be /, '') : message))
    .join(' or ');
}

/** The alternative that had the right type and went wrong further inside. */
function findMeantOption(options: readonly Issue[][]): Issue[] | undefined {
  return options.find((issues) => issues.length > 0 && issues.every((issue) => issue.path.length > 0));
}

function toField(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'input' : path.map(String).join('.');
}
