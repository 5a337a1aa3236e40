# A stand-in for nixpkgs and Liminix: as much of both as packaging/nix takes from them. A derivation is what was
# said of it; its path tells its name; a file that is written has its text for a path.

{ isMusl ? true, isLiminix ? true, overlays ? [ ] }:
let
  inherit (builtins) all concatStringsSep elem functionArgs intersectAttrs isAttrs isInt isList isString map
    match replaceStrings stringLength substring;

  libc = if isMusl then "-musl" else "";
  fix = f: let x = f x; in x;

  mkDerivation = args: args // {
    type = "derivation";
    name = args.name or "${args.pname}-${args.version}";
    outPath = args.outPath or "/nix/store/${args.name or args.pname}${libc}";
    overrideAttrs = f: mkDerivation (args // f args);
  };
  package = name: more: mkDerivation ({ inherit name; } // more);

  type = check: { inherit check; };
  lib = {
    mkOption = option: option;
    isDerivation = x: isAttrs x && x.type or null == "derivation";
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    optionals = condition: list: if condition then list else [ ];
    optionalString = condition: text: if condition then text else "";
    concatMapStrings = f: list: concatStringsSep "" (map f list);
    escapeShellArgs = list:
      concatStringsSep " " (map (text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'") list);
    licenses.mit = "MIT";
    platforms.linux = [ "linux" ];
    types = rec {
      str = type isString;
      lines = str;
      path = type (x: isString x && match "/.*" x != null);
      strMatching = pattern: type (x: isString x && match pattern x != null);
      package = type lib.isDerivation;
      listOf = element: type (x: isList x && all element.check x);
      nullOr = other: type (x: x == null || other.check x);
      enum = values: type (x: elem x values);
      ints.positive = type (x: isInt x && x > 0);
      ints.between = low: high: type (x: isInt x && low <= x && x <= high);
    };
  };

  liminix = {
    services.longrun =
      { name, run, notification-fd ? null, dependencies ? [ ], buildInputs ? [ ], outputs ? [ ] }@args:
      mkDerivation (args // { serviceType = "longrun"; });
    services.oneshot =
      { name, up, down ? "", dependencies ? [ ], buildInputs ? [ ], outputs ? [ ] }@args:
      mkDerivation (args // { serviceType = "oneshot"; });
    lib.types.serviceDefn = type (x: isAttrs x && x ? parameters && x ? build);
  };

  # Liminix's own, in what an overlay sees of it: a script that says in its first line who runs it.
  writeFennel = pkgs: name: { packages ? [ ], mainFunction ? null }: source:
    mkDerivation {
      inherit name;
      buildPhase = ''
        {
          echo "#!${pkgs.lua}/bin/lua ${lib.optionalString (mainFunction != null) "-e dofile(arg[0]).${mainFunction}()"}"
          fennel --compile ${source}
        } > ${name}.lua
      '';
      installPhase = ''
        cp ${name}.lua $out
        chmod +x $out
      '';
    };

  base = pkgs: {
    inherit lib;
    stdenv = { inherit mkDerivation; hostPlatform = { inherit isMusl; }; };
    callPackage = path: more:
      let f = import path; in f (intersectAttrs (functionArgs f) pkgs // more);
    pkgsMusl = import ./nixpkgs.nix { inherit isLiminix overlays; isMusl = true; };
    cmake = package "cmake" { };
    ninja = package "ninja" { };
    lua = package "lua" { luaversion = if isLiminix then "5.3" else "5.2"; };
    lua5_3 = package "lua5_3" { luaversion = "5.3"; };
    writeText = name: text: package name { outPath = "<<<${text}>>>"; };
  } // (if isLiminix then { inherit liminix; writeFennel = writeFennel pkgs; } else { });
in
fix (final: builtins.foldl' (prev: overlay: prev // overlay final prev) (base final) overlays)
