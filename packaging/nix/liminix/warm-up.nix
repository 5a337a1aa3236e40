# A warm-up as a file: Lua that finds the modules of `packages`, loads `modules`, and goes on with `warmUp`.
{
  lib,
  lua,
  writeText,
}:
name:
{
  packages,
  modules,
  warmUp,
}:
let
  inherit (builtins) toJSON;
  inherit (lib) concatMapStrings;

  share = "share/lua/${lua.luaversion}";
  luaPath = concatMapStrings (p: "${p}/${share}/?.lua;${p}/${share}/?/init.lua;") packages;
  luaCpath = concatMapStrings (p: "${p}/lib/lua/${lua.luaversion}/?.so;") packages;
in
# The paths are set here and not by LUA_PATH, which scripts do not have: warm modules are used by whoever has
# the variables that the warm-up had.
writeText name ''
  package.path = ${toJSON luaPath} .. package.path
  package.cpath = ${toJSON luaCpath} .. package.cpath
  ${concatMapStrings (module: "require ${toJSON module}\n") modules}${warmUp}
''
