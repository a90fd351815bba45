-- POST one random line of a file (path, tab, body) after the other, each under a key of its own.
-- wrk -s post.lua URL -- LINES AUTHORIZATION PREFIX

local lines, paths, bodies, headers = 0, {}, {}, {}
local prefix, sent, refused = "", 0, 0

function init(args)
   for line in io.lines(args[1]) do
      local path, body = line:match("^([^\t]+)\t(.*)$")
      lines = lines + 1
      paths[lines], bodies[lines] = path, body
   end
   headers["Authorization"] = "Bearer " .. args[2]
   prefix = args[3]
   math.randomseed(os.time())
end

function request()
   sent = sent + 1
   local at = math.random(lines)
   local is_json = bodies[at]:sub(1, 1) == "{"
   headers["Content-Type"] = is_json and "application/json" or "application/x-www-form-urlencoded"
   headers["Idempotency-Key"] = prefix .. sent
   return wrk.format("POST", paths[at], headers, bodies[at])
end

function response(status, _, body)
   if status ~= 200 then
      refused = refused + 1
      if refused <= 3 then io.stderr:write(status, " ", body, "\n") end
   end
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f}\n',
      summary.requests, summary.duration / 1e6, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
