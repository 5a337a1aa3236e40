## moonletd, moonlet-image
## =======================
##
## moonletd keeps an image of a Lua interpreter in which modules are loaded, and
## runs scripts from it. moonlet-image needs no moonletd: it freezes a warm-up
## into an image at boot, from which moonlet starts scripts.

{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  inherit (pkgs) liminix;

  warmUp = {
    packages = mkOption {
      description = "packages that hold the warm modules, as in writeFennel";
      type = types.listOf types.package;
      default = [ ];
    };
    modules = mkOption {
      description = "modules to load before any script runs";
      type = types.listOf types.str;
      default = [ ];
      example = [ "anoia" "lualinux" ];
    };
    warmUp = mkOption {
      description = "Lua to run when the modules are loaded: a global that it sets is there for each script";
      type = types.lines;
      default = "";
    };
  };
in
{
  options.system.service.moonlet-image = mkOption {
    description = "image of a warm Lua that moonlet's scripts start from";
    type = liminix.lib.types.serviceDefn;
  };

  config.system.service.moonlet-image = config.system.callService ./image.nix (warmUp // {
    image = mkOption {
      description = "file to make. If it is not the default, scripts need it in MOONLET_IMAGE";
      type = types.path;
      default = "/run/moonlet.image";
    };
  });

  options.system.service.moonletd = mkOption {
    description = "Lua interpreter that moonlet's scripts are copies of";
    type = liminix.lib.types.serviceDefn;
  };

  config.system.service.moonletd = config.system.callService ./service.nix (warmUp // {
    socket = mkOption {
      description = "socket to listen on. If it is not the default, scripts need it in MOONLET_SOCKET";
      type = types.path;
      default = "/run/moonlet.sock";
    };
    mode = mkOption {
      description = "permissions of the socket, in octal: who may connect";
      type = types.strMatching "[0-7]+";
      default = "0600";
    };
    max = mkOption {
      description = "number of scripts that may run at once; null: any";
      type = types.nullOr types.ints.positive;
      default = null;
    };
  });
}
