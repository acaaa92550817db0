// Nothing but the guard is loaded before it: better-sqlite3 kills a Node that is too old without a word.
if (Number(process.versions.napi) < 10) {
  process.stderr.write(`Task Orchestrator needs Node 24 (or 22.14 and newer); this is ${process.version}\n`);
  process.exit(1);
}
const { run } = await import('./run.ts');
await run(process.argv.slice(2));

export {};
