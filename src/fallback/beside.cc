#include "fallback/beside.h"

#include "fallback/fallback.h"

#include <string.h>
#include <unistd.h>

namespace moonlet::fallback {

bool find_beside(const char* name, char (&path)[kBesideRoom]) {
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length <= 0) return false;
  memcpy(path + length, name, strlen(name) + 1);
  return true;
}

int exec_beside_or_on_path(const char* name, char** argv) {
  char path[kBesideRoom];
  if (find_beside(name, path)) execv(path, argv);
  return exec_on_path(name, argv);
}

}  // namespace moonlet::fallback
