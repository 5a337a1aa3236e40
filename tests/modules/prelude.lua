-- Package: libprelude-lua
-- Modules: prelude
-- Luas: 5.1
-- Warm: in the directory of the freeze, which it asks for
--
-- An alert that nobody is told of.
require "prelude"
print(prelude.checkVersion() ~= nil)
local alert = prelude.IDMEF()
alert:set("alert.classification.text", "a test")
alert:set("alert.source(0).node.address(0).address", "127.0.0.1")
print(alert:get "alert.classification.text", alert:get "alert.source(0).node.address(0).address")
