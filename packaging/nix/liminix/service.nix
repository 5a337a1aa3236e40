{
  lib,
  callPackage,
  liminix,
  lua,
  writeText,
  moonlet ? callPackage ../package.nix { },
}:
{
  packages,
  modules,
  warmUp,
  socket,
  mode,
  max,
}:
let
  inherit (builtins) toJSON;
  inherit (lib) concatMapStrings escapeShellArgs optionals;
  inherit (liminix.services) longrun;

  share = "share/lua/${lua.luaversion}";
  luaPath = concatMapStrings (p: "${p}/${share}/?.lua;${p}/${share}/?/init.lua;") packages;
  luaCpath = concatMapStrings (p: "${p}/lib/lua/${lua.luaversion}/?.so;") packages;

  # The paths are set here and not by LUA_PATH, which scripts do not have: an image is for whoever has the variables
  # that moonletd was started with.
  script = writeText "moonletd.lua" ''
    package.path = ${toJSON luaPath} .. package.path
    package.cpath = ${toJSON luaCpath} .. package.cpath
    ${concatMapStrings (module: "require ${toJSON module}\n") modules}${warmUp}
  '';

  options =
    [ "--ready-fd" "10" "--socket" socket "--mode" mode ]
    ++ optionals (max != null) [ "--max" (toString max) ];
in
longrun {
  name = "moonletd";
  notification-fd = 10;
  # By exec, so that the supervisor's signals are moonletd's.
  run = ''
    exec ${moonlet}/bin/moonletd ${escapeShellArgs options} ${script}
  '';
}
