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
  spare,
  gc,
}:
let
  inherit (lib) escapeShellArgs optionals;
  inherit (liminix.services) longrun;

  script = callPackage ./warm-up.nix { } "moonletd.lua" { inherit packages modules warmUp; };

  options =
    [ "--ready-fd" "10" "--socket" socket "--mode" mode "--spare" (toString spare) ]
    ++ optionals (max != null) [ "--max" (toString max) ]
    ++ optionals (gc != null) [ "--gc" gc ];
in
longrun {
  name = "moonletd";
  notification-fd = 10;
  # By exec, so that the supervisor's signals are moonletd's.
  run = ''
    exec ${moonlet}/bin/moonletd ${escapeShellArgs options} ${script}
  '';
}
