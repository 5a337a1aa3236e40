-- Package: lua-wsapi
-- Modules: wsapi.common wsapi.request wsapi.response wsapi.mock
-- Luas: 5.1 5.2 luajit
--
-- An application and a request that nobody has sent.
local function app(env)
  local request = require "wsapi.request".new(env)
  local response = require "wsapi.response".new()
  response:write("hello " .. (request.params.name or "?"))
  return response:finish()
end
local mock = require "wsapi.mock".make_handler(app)
local answer = mock:get("/", { name = "x" })
print(answer.code, answer.body)
