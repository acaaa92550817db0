import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import type { Role } from './key.ts';

export type OperationKind = 'query' | 'mutation' | 'subscription';
export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One thing anyone may ask, described once; every door is made from it. */
export interface Operation<
  Kind extends OperationKind = OperationKind,
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> {
  readonly kind: Kind;
  readonly method: HttpMethod;
  /** REST route; `{name}` segments are fields of the input. */
  readonly path: `/${string}`;
  readonly summary: string;
  /** Who may call it, beside `admin`, who may call everything. */
  readonly roles: readonly Exclude<Role, 'admin'>[];
  readonly input: Input;
  /** For a subscription: one item of the stream. */
  readonly output: Output;
  /** Refusals beyond those any operation may give (validation, authentication, limits, outage). */
  readonly errors?: readonly ErrorCode[];
  /** Request headers that carry a field of the input. */
  readonly headers?: Readonly<Record<string, string>>;
  /** REST answers the bare output, without the envelope. */
  readonly isBare?: boolean;
  /** Served without a key. */
  readonly isPublic?: boolean;
}

export function operation<const Kind extends OperationKind, Input extends z.ZodType, Output extends z.ZodType>(
  description: Operation<Kind, Input, Output>,
): Operation<Kind, Input, Output> {
  return description;
}

/** Whether a key with these roles may call the operation. */
export function mayCall(roles: readonly Role[], operation: Pick<Operation, 'roles'>): boolean {
  return roles.some((role) => role === 'admin' || operation.roles.includes(role));
}
