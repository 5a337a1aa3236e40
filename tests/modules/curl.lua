-- Package: lua-curl
-- Modules: curl
-- Luas: 5.1 5.2 luajit
--
-- A file by its URL, and its errors.
local curl = require "curl"
local file = assert(io.open("page", "w"))
file:write "content\n"
file:close()
local where = assert(io.popen "pwd"):read "*l"
local function get(url)
  local easy = curl.easy_init()
  easy:setopt(curl.OPT_URL, url)
  easy:setopt(curl.OPT_WRITEFUNCTION, function(text, other)
    text = type(text) == "string" and text or other
    io.write(text)
    return #text
  end)
  local status, text = easy:perform()
  print(status, text and text:gsub("%d+ ms", "some ms"))
end
get("file://" .. where .. "/page")
get "file:///nonexistent"
get "http://127.0.0.1:1/"
print(curl.escape "a b")
