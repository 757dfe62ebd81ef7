-- Sends prepared requests one after the other, in a circle unless each can be sent only once.
-- Arguments: the file (each request after its length and a line break), and "once" or "again".
local requests, at = {}, 0
local once

function init(args)
  local file = assert(io.open(args[1], "rb"))
  once = args[2] == "once"
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  at = at + 1
  if at > #requests then
    at = 1
    if once then wrk.thread:stop() end
  end
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
