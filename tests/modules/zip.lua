-- Package: lua-zip
-- Modules: zip
-- Luas: 5.1 luajit
--
-- An archive, made by Python.
local zip = require "zip"
assert(os.execute [[python3 -c "import zipfile; z = zipfile.ZipFile('x.zip', 'w', zipfile.ZIP_DEFLATED); z.writestr('a.txt', 'text' * 100)"]])
local archive = assert(zip.open "x.zip")
for entry in archive:files() do print(entry.filename, entry.uncompressed_size) end
print(#archive:open "a.txt":read "*a")
print(zip.open "/nonexistent")
archive:close()
