{
  callPackage,
  lib,
  liminix,
  moonlet ? callPackage ../package.nix { },
}:
{
  packages,
  modules,
  warmUp,
  image,
}:
let
  inherit (lib) escapeShellArgs;
  inherit (liminix.services) oneshot;

  script = callPackage ./warm-up.nix { } "moonlet.lua" { inherit packages modules warmUp; };
in
oneshot {
  name = "moonlet-image";
  # --trust: what is in the store never changes.
  up = ''
    ${moonlet}/bin/moonlet --freeze ${escapeShellArgs [ image ]} --trust ${script}
  '';
  down = ''
    rm -f ${escapeShellArgs [ image ]}
  '';
}
