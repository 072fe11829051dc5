-- Posts the requests of a manifest in turn: a line has path, content type and the body's file, by tabs.
-- Prints the counts as JSON.
local requests, place = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local path, kind, name = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)$")
    local file = assert(io.open(name, "rb"))
    requests[#requests + 1] = wrk.format("POST", path, { ["Content-Type"] = kind }, file:read("*a"))
    file:close()
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"seconds": %.6f, "requests": %d, "p50_ms": %.3f, "p99_ms": %.3f, "refused": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "timeout": %d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
