import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

// For `node --import`: prints which packages and modules of tracing are loaded. OpenTelemetry's API comes with the metrics, traced or not.
const TRACING = /node_modules\/@opentelemetry\/(?!api\/)[^/]+\/dist\/index\.|\/src\/tracing\//;

registerHooks({
  load(url, context, next) {
    if (TRACING.test(url)) writeSync(1, `loaded ${url}\n`);
    return next(url, context);
  },
});
