// What moonlet-lua and the Lua module `moonlet` have for each other. The module may be in moonlet-lua itself,
// or a file that any program with Lua in it loads.
#pragma once

struct lua_State;

namespace moonlet {

struct Host {
  static constexpr int kVersion = 2;
  using Function = int (*)(lua_State* L);

  int version = kVersion;  // raised with each change: a module of another release is on its own

  // Filled in by moonlet-lua.

  bool warm = false;  // this process runs a script: moonlet.warm

  // Filled in by the module.

  /// Pushes what runs the script `file`, if that is in a language whose compiler is loaded, and changes
  /// `message_handler` to one that tells the lines of the source. False, with nothing pushed, for any other.
  /// Raises Lua errors: those of a compiler.
  bool (*load_script)(lua_State* L, const char* file, Function& message_handler) = nullptr;
};

}  // namespace moonlet

/// There is one in a process. Defined in moonlet-lua alone, and exported: the module finds it, or nothing.
extern "C" [[gnu::visibility("default")]] moonlet::Host* moonlet_host();
