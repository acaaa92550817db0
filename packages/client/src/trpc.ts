import type {
  TRPCBuiltRouter,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
} from '@trpc/server';
import type { ErrorBody, ErrorCode, OperationTypes } from './wire.ts';

/**
 * The type of the service's tRPC router at `/trpc`, for those who bring their own tRPC client:
 * `createTRPCClient<AppRouter>({ links: [httpLink({ url: 'http://localhost:8080/trpc' })] })`. Needs `@trpc/server` 11
 * for its types; the client of this package does not.
 */
export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {
    [Group in keyof OperationTypes]: {
      [Name in keyof OperationTypes[Group]]: ProcedureOf<OperationTypes[Group][Name]>;
    };
  }
>;

/** An error as tRPC clients get it: JSON-RPC's number as `code`, what the service has to say in `data`. */
export interface ErrorShape {
  message: string;
  code: number;
  data: { code: ErrorCode; httpStatus: number; details: ErrorBody['details']; path?: string };
}

type ProcedureOf<Types> = Types extends {
  kind: infer Kind extends 'query' | 'mutation' | 'subscription';
  input: infer Input;
  output: infer Output;
}
  ? {
      query: TRPCQueryProcedure<{ input: InputOf<Input>; output: Output; meta: object }>;
      mutation: TRPCMutationProcedure<{ input: InputOf<Input>; output: Output; meta: object }>;
      subscription: TRPCSubscriptionProcedure<{
        input: InputOf<Input>;
        output: AsyncIterable<Tracked<Output>>;
        meta: object;
      }>;
    }[Kind]
  : never;

/** Where every field may be left out, so may the whole input. */
type InputOf<Input> = object extends Input ? Input | void : Input;

interface Tracked<Data> {
  id: string;
  data: Data;
}
