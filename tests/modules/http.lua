-- Package: lua-http
-- Modules: http.request http.server http.headers
-- Luas: 5.1 5.2 luajit
--
-- A server and a client of one loop, on loopback.
local cqueues, server, request = require "cqueues", require "http.server", require "http.request"
local headers = require "http.headers"
local it = assert(server.listen {
  host = "127.0.0.1", port = 0, tls = false,
  onstream = function(_, stream)
    local asked = assert(stream:get_headers())
    local answer = headers.new()
    answer:append(":status", "200")
    answer:append("content-type", "text/plain")
    stream:write_headers(answer, false)
    stream:write_chunk("you asked for " .. asked:get ":path" .. "\n", true)
  end,
  onerror = function(_, _, operation, _, message) print(operation, message) os.exit(1) end,
})
assert(it:listen())
local _, _, port = it:localname()
local loop = cqueues.new()
loop:wrap(function() it:loop() end)
loop:wrap(function()
  local found, stream = request.new_from_uri("http://127.0.0.1:" .. port .. "/page"):go(10)
  print(found and found:get ":status" or stream, found and stream:get_body_as_string(10))
  it:close()
  os.exit(0)
end)
print(loop:loop())
