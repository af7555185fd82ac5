-- For wrk: sends the prepared requests of a folder, 0000.http and so on, in turn, and prints one line of JSON.
--   wrk ... -s wrk.lua URL -- FOLDER COUNT

local requests, last = {}, 0

function init(args)
  for number = 0, tonumber(args[2]) - 1 do
    local file = assert(io.open(string.format("%s/%04d.http", args[1], number), "rb"))
    requests[#requests + 1] = file:read("*a")
    file:close()
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

-- wrk counts an answer of status 400 or more as an error, and still among the requests.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
