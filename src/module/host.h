// What moonletd gives to the module in its own process. Plain lua gives nothing.
#pragma once

struct lua_State;

namespace moonlet {

/// Filled in by moonletd, which alone defines it, as moonlet_host. A function that is null is not there.
struct Host {
  static constexpr int kVersion = 1;

  int version = kVersion;  // raised with each change: a module of another release takes nothing from it
  bool warm = false;       // this process runs a script: moonlet.warm

  // The functions of the same name (docs/lua-api.md), as Lua's C functions, in moonletd and in its children.
  // The module has checked that `watch` gets a string, and `serve` a table.
  int (*status)(lua_State* L) = nullptr;
  int (*reload)(lua_State* L) = nullptr;
  int (*watch)(lua_State* L) = nullptr;
  int (*serve)(lua_State* L) = nullptr;
};

}  // namespace moonlet

/// Weak: where it is not defined, its address is null.
extern "C" [[gnu::weak, gnu::visibility("default")]] moonlet::Host moonlet_host;
