#include "server/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::server {

// They are called like the image, with a dot and six more letters (mkstemp(3)).
void remove_leftovers(const char* path) {
  constexpr size_t kMore = 7;
  const char* const slash = strrchr(path, '/');
  const char* const name = slash != nullptr ? slash + 1 : path;
  const size_t length = strlen(name);
  char directory_name[4096];
  const auto directory_length = static_cast<size_t>(name - path);
  if (directory_length >= sizeof directory_name) return;
  memcpy(directory_name, path, directory_length);
  memcpy(directory_name + directory_length, ".", 2);
  DIR* const directory = opendir(directory_name);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    const char* const its = entry->d_name;
    if (strncmp(its, name, length) == 0 && its[length] == '.' && strlen(its) == length + kMore)
      unlinkat(dirfd(directory), its, 0);
  }
  closedir(directory);
}

}  // namespace moonlet::server
