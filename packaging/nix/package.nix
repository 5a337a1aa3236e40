# moonlet for Nix: callPackage ./package.nix { lua = lua5_3; }

{
  lib,
  stdenv,
  cmake,
  lua,
  ninja,
  pkgsMusl,
  # What moonlet runs where no image fits.
  fallback ? "${lua}/bin/lua",
}:
let
  inherit (builtins) any head match readFile replaceStrings;
  inherit (lib) hasPrefix optionalString;
  inherit (stdenv.hostPlatform) isMusl;
  tree = toString ../..;
  parts = [ "CMakeLists.txt" "LICENSE" "bench" "cmake" "docs" "packaging" "src" ];

  # Most of what a user waits for is a program's own start: the client is linked statically, against musl.
  client = pkgsMusl.callPackage ./package.nix {
    inherit fallback;
    lua = pkgsMusl."lua${replaceStrings [ "." ] [ "_" ] lua.luaversion}";
  };
in
stdenv.mkDerivation {
  pname = "moonlet";
  version = head (
    match ".*project\\(moonlet VERSION ([0-9.]+).*" (readFile ../../CMakeLists.txt)
  );

  src = builtins.path {
    name = "moonlet-source";
    path = ../..;
    filter =
      path: _:
      any (part: path == "${tree}/${part}" || hasPrefix "${tree}/${part}/" path) parts;
  };

  nativeBuildInputs = [ cmake ninja ];
  buildInputs = [ lua ];

  cmakeFlags = [
    "-DMOONLET_LUA=${lua.luaversion}"
    "-DMOONLET_LUA_ROOT=${lua}"
    "-DMOONLET_FALLBACK_NAME=${fallback}"
    "-DMOONLET_MUSL=${if isMusl then "ON" else "OFF"}"
    "-DMOONLET_TESTS=OFF"
  ];

  postInstall = optionalString (!isMusl) ''
    cp -f ${client}/bin/moonlet $out/bin/moonlet
  '';

  meta = {
    description = "Lua scripts that start with their modules loaded";
    license = lib.licenses.mit;
    mainProgram = "moonlet";
    platforms = lib.platforms.linux;
  };
}
