/** What V8 writes: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

const NOT_WORK = new Set(['(idle)', '(root)']);
const TOP = 40;

/** Self time: of each function, and of each package or folder. Shares are of the time not idle. */
export function formatProfile({ nodes, samples, timeDeltas }: CpuProfile): string {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, number>();
  const byOrigin = new Map<string, number>();
  let busy = 0;
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id);
    const ms = (timeDeltas[index] ?? 0) / 1000;
    total += ms;
    if (!frame || NOT_WORK.has(frame.functionName)) continue;
    busy += ms;
    addTo(byFunction, `${frame.functionName || '(anonymous)'}  ${placeOf(frame)}`, ms);
    addTo(byOrigin, originOf(frame), ms);
  }
  const head = `busy ${Math.round(busy)} ms of ${Math.round(total)} ms`;
  return [
    head,
    '',
    'by origin',
    ...table(byOrigin, busy, TOP),
    '',
    `by function, top ${TOP}`,
    ...table(byFunction, busy, TOP),
  ].join('\n');
}

function table(times: ReadonlyMap<string, number>, busy: number, rows: number): string[] {
  return [...times]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, rows)
    .map(([name, ms]) => `${((ms / busy) * 100).toFixed(1).padStart(6)} % ${ms.toFixed(0).padStart(7)} ms  ${name}`);
}

function placeOf({ url, lineNumber }: CallFrame): string {
  return url === '' ? '' : `${shortUrl(url)}:${lineNumber + 1}`;
}

/** A package of node_modules, a folder of ours, a part of Node, or what V8 names in brackets. */
function originOf({ functionName, url }: CallFrame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)';
  if (url.startsWith('node:')) return url.split('/')[0] ?? url;
  const short = shortUrl(url);
  return short.startsWith('~')
    ? short
        .split('/')
        .slice(0, short.startsWith('~@') ? 2 : 1)
        .join('/')
    : short.split('/').slice(0, 4).join('/');
}

/** `~fastify/lib/reply.js` for a package, `packages/core/src/core.ts` for ours. */
function shortUrl(url: string): string {
  const path = url.replace(/^file:\/\//, '');
  const inPackage = path.lastIndexOf('/node_modules/');
  if (inPackage >= 0) return `~${path.slice(inPackage + '/node_modules/'.length)}`;
  return /(?:packages|apps|bench)\/.*$/.exec(path)?.[0] ?? path;
}

function addTo(sums: Map<string, number>, key: string, ms: number): void {
  sums.set(key, (sums.get(key) ?? 0) + ms);
}
