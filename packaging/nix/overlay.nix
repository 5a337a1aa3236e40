# moonlet, and, where Liminix's writeFennel is there, one whose scripts start with moonlet. A script that shall
# stay with lua is made by writeFennelForLua.

final: prev:
let
  # Liminix embeds the same Lua everywhere, under this name; in nixpkgs it is an older one.
  lua = if prev ? liminix then final.lua else final.lua5_3;
in
{
  moonlet = final.callPackage ./package.nix { inherit lua; };
}
// (
  if prev ? writeFennel then
    {
      writeFennelForLua = prev.writeFennel;

      writeFennel =
        name: options: source:
        (prev.writeFennel name options source).overrideAttrs (o: {
          # The first line of the script names its interpreter; options behind that stay.
          installPhase = ''
            ${o.installPhase}
            sed -i '1s|^#![^ ]*|#!${final.moonlet}/bin/moonlet|' $out
          '';
        });
    }
  else
    { }
)
