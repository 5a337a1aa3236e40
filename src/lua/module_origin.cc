#include "lua/module_origin.h"

#include "base/kernel.h"
#include "lua/lua_api.h"

#include <limits.h>
#include <string.h>

namespace moonlet {

// The manual's package.searchpath, for the first `length` letters of a module's name.
bool ModuleOrigin::search(const char* path, const char* name, size_t length) {
  char found[PATH_MAX];
  while (*path != '\0') {
    size_t used = 0;
    for (; *path != '\0' && *path != ';'; path++) {
      const char* from = path;
      size_t size = 1;
      if (*path == '?') {
        from = name;
        size = length;
      }
      for (size_t i = 0; i < size && used < sizeof found - 1; i++)
        found[used++] = from == name && name[i] == '.' ? '/' : from[i];
    }
    if (*path == ';') path++;
    if (used == 0 || used == sizeof found - 1) continue;
    found[used] = '\0';
    depends_on_directory |= found[0] != '/';
    if (kernel::may_read(found) && file.find(found)) return true;
  }
  return false;
}

// The searchers that look for files, in their order: a Lua file, a C library, the library of the root.
bool ModuleOrigin::find(lua_State* L, int package, const char* name) {
  const size_t length = strlen(name);
  lua_getfield(L, package, "path");
  lua_getfield(L, package, "cpath");
  const char* path = lua_tostring(L, -2);
  const char* cpath = lua_tostring(L, -1);
  lua_pop(L, 2);  // the table holds them
  if (path != nullptr && search(path, name, length)) return true;
  if (cpath == nullptr) return false;
  const size_t root = strcspn(name, ".");
  return search(cpath, name, length) || (root < length && search(cpath, name, root));
}

}  // namespace moonlet
