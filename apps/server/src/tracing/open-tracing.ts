import { AsyncLocalStorage } from 'node:async_hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { version } from '../version.ts';
import { reportFailures } from './report-failures.ts';
import type { Recorder } from './scope.ts';
import { createCoreTracer } from './trace-core.ts';
import { traceOperations } from './trace-operations.ts';
import { traceRequests } from './trace-requests.ts';
import type { Tracing } from './tracing.ts';

/** So long a request to the collector may take: what it does not want soon is given up. */
const EXPORT_TIMEOUT_MS = 5000;
/** So long the end of the server waits for a collector. */
const STOP_WITHIN_MS = 1000;

/**
 * Records spans and sends them in batches, beside the requests that they tell of. What the collector does not take is
 * dropped. Of the standard variables, `OTEL_EXPORTER_OTLP_HEADERS`, `_COMPRESSION`, `_CERTIFICATE`, `_CLIENT_CERTIFICATE`,
 * `_CLIENT_KEY` and `OTEL_RESOURCE_ATTRIBUTES` are read here, by the SDK.
 * @param options.endpoint of an OTLP collector: `/v1/traces` is added
 * @param options.databaseName as in `db.system.name`
 * @param options.onFailure told when the collector begins to fail
 */
export function openTracing(options: {
  endpoint: string;
  sampleRatio: number;
  serviceName: string;
  databaseName: string;
  onFailure: (error: Error) => void;
}): Tracing {
  const { endpoint, sampleRatio, serviceName, databaseName, onFailure } = options;
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const exporter = reportFailures(new OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS }), onFailure);
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(detectResources({ detectors: [envDetector] }))
      .merge(resourceFromAttributes({ 'service.name': serviceName, 'service.version': version })),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter, exportTimeoutMillis: EXPORT_TIMEOUT_MS })],
  });
  const recorder: Recorder = {
    tracer: provider.getTracer('task-orchestrator', version),
    scopes: new AsyncLocalStorage(),
    databaseName,
  };
  return {
    core: createCoreTracer(recorder),
    traceRequests: (app) => traceRequests(app, recorder),
    traceOperations: (endpoints) => traceOperations(endpoints, recorder),
    logFields() {
      const context = recorder.scopes.getStore()?.span.spanContext();
      return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
    },
    async stop() {
      const { promise: timeout, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, STOP_WITHIN_MS);
      await Promise.race([provider.shutdown().catch(() => undefined), timeout]);
      clearTimeout(timer);
    },
  };
}
