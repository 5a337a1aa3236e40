// Where `require` finds a module.
#pragma once

#include "base/file_identity.h"

struct lua_State;

namespace moonlet {

struct ModuleOrigin {
  FileIdentity file;
  bool depends_on_directory = false;  // a relative entry of the path was tried, or taken

  /// Looks for the module `name` as `require` would now, with the paths in the table `package` at that index of
  /// the stack of `L`. Returns false, with `file` as it was, if there is none. Raises Lua errors.
  bool find(lua_State* L, int package, const char* name);

 private:
  bool search(const char* path, const char* name, size_t length);
};

}  // namespace moonlet
