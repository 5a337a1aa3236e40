{
  lib,
  callPackage,
  liminix,
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
  inherit (lib) escapeShellArgs optionals;
  inherit (liminix.services) longrun;

  # The paths are set in it and not by LUA_PATH, which scripts do not have: an image is for whoever has the variables
  # that moonletd was started with.
  script = callPackage ./warm-up.nix { } "moonletd.lua" { inherit packages modules warmUp; };

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
