-- Create, next, complete as single requests: each answer decides what may be asked next, finishing goes before beginning.
dofile("report.lua")

misses = 0

local COMPLETE = '{"lease_token":"%s","result":{"status":"success","output":"done"}}'
local creates, nexts, common = {}, {}, nil
local at = 0
-- Queues of directories in which a task waits, and of tasks held.
local waiting, held = {}, {}
local waiting_from, waiting_to, held_from, held_to = 1, 0, 1, 0

function init()
  common = headers()
  for index = 0, 499 do
    creates[index] = wrk.format("POST", "/api/v1/tasks", common, (body(index)))
    nexts[index] = wrk.format("GET", "/api/v1/tasks/next?worker_id=bench&work_path=%2Fsrv%2Frepo-" .. index, common)
  end
end

function request()
  if held_from <= held_to then
    local task = held[held_from]
    held[held_from] = nil
    held_from = held_from + 1
    return wrk.format("POST", "/api/v1/tasks/" .. task[1] .. "/complete", common, COMPLETE:format(task[2]))
  end
  if waiting_from <= waiting_to then
    local index = waiting[waiting_from]
    waiting[waiting_from] = nil
    waiting_from = waiting_from + 1
    return nexts[index]
  end
  at = (at + 1) % 500
  return creates[at]
end

function response(status, _, text)
  if status ~= 200 then return end
  local token = text:match('"lease_token":"([^"]+)"')
  if token then
    held_to = held_to + 1
    held[held_to] = { text:match('"task_id":"([^"]+)"'), token }
  elseif text:find('"status":"waiting"', 1, true) then
    waiting_to = waiting_to + 1
    waiting[waiting_to] = tonumber(text:match('/srv/repo%-(%d+)'))
  elseif not text:find('"status":"completed"', 1, true) then
    misses = misses + 1
  end
end
