-- Package: lua-discount
-- Modules: discount
-- Luas: 5.1 5.2 luajit
--
-- Markdown to HTML.
local discount = require "discount"
local convert = type(discount) == "table" and (discount.compile or discount) or discount
local page = convert "# Title\n\n*warm* and `cold`\n"
print(type(page) == "table" and page.body or page)
