-- Shared by the scripts here: what wrk found, as one line of JSON that starts with @@.
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function headers()
  return { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY") }
end

function body(index)
  return os.getenv("BENCH_BODY"):gsub("/srv/repo%-%d+", "/srv/repo-" .. index)
end

function done(summary, latency)
  local misses = 0
  for _, thread in ipairs(threads) do misses = misses + (thread:get("misses") or 0) end
  local errors = summary.errors
  io.write(string.format(
    '@@{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout + misses))
end
