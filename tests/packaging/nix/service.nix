# The service `name` of packaging/nix/liminix, built with `arguments` as a Liminix configuration would: each is checked
# against the type that the module gives it.

{ pkgs, arguments, name ? "moonletd" }:
let
  inherit (builtins) attrNames filter mapAttrs;
  inherit (pkgs) lib;

  checked = parameters: given:
    let unknown = filter (name: !(parameters ? ${name})) (attrNames given); in
    if unknown != [ ] then throw "no such parameter: ${toString unknown}"
    else mapAttrs (name: option:
      let value = given.${name} or option.default or (throw "missing: ${name}"); in
      if option.type.check value then value else throw "not of its type: ${name}") parameters;

  module = import ../../../packaging/nix/liminix {
    inherit lib pkgs;
    config.system.callService = path: parameters: {
      inherit parameters;
      build = given: pkgs.callPackage path { } (checked parameters given);
    };
  };
  definition = module.config.system.service.${name};
in
if module.options.system.service.${name}.type.check definition then definition.build arguments
else throw "no definition of a service"
