-- POST of one body after the other, over 500 directories, to BENCH_PATH.
dofile("report.lua")

local requests, at = {}, 0

function init()
  for index = 0, 499 do
    requests[#requests + 1] = wrk.format("POST", os.getenv("BENCH_PATH"), headers(), (body(index)))
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
