/** Node's `http`. An `import` would read all it exports, which loads what is behind `fetch` and WebSocket: 13 MiB. */
export const http = process.getBuiltinModule('node:http');
