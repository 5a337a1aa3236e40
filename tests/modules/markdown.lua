-- Package: lua-markdown
-- Modules: markdown
-- Luas: 5.1
-- Differs: it looks at `arg` while it is loaded, and is a program where the script's name is its own, as here
--
-- Markdown to HTML.
require "markdown"
local convert = markdown or require "markdown"
print((type(convert) == "table" and convert.markdown or convert) "# Title\n\n* a\n* *b*\n\n`code` [x](http://example.com)\n")
