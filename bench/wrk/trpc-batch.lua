-- Ten tRPC calls in one request, as the official client's httpBatchLink sends them.
dofile("report.lua")

local SIZE = 10
local requests, at = {}, 0

function init()
  local names = {}
  for index = 1, SIZE do names[index] = "tasks.create" end
  local path = "/trpc/" .. table.concat(names, ",") .. "?batch=1"
  for first = 0, 490, SIZE do
    local calls = {}
    for index = 0, SIZE - 1 do calls[#calls + 1] = string.format('"%d":%s', index, (body(first + index))) end
    requests[#requests + 1] = wrk.format("POST", path, headers(), "{" .. table.concat(calls, ",") .. "}")
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
