-- Package: lua-markdown
-- Modules: markdown
-- Luas: 5.1
--
-- Markdown to HTML.
require "markdown"
local convert = markdown or require "markdown"
print((type(convert) == "table" and convert.markdown or convert) "# Title\n\n* a\n* *b*\n\n`code` [x](http://example.com)\n")
