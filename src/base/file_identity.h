// Which file a path leads to.
#pragma once

#include "base/kernel.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

namespace moonlet {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  /// Whether `path` leads to a file, which is then this one; else it stays as it was, and errno says why.
  bool find(const char* path) {
    kernel::Location found;
    if (kernel::locate(AT_FDCWD, path, &found) != 0) return false;
    device = makedev(found.device[0], found.device[1]);
    inode = static_cast<ino_t>(found.inode);
    return true;
  }

  /// Whether `path` leads to this file.
  [[nodiscard]] bool is_at(const char* path) const {
    FileIdentity found;
    return found.find(path) && found == *this;
  }

  bool operator==(const FileIdentity&) const = default;
};

}  // namespace moonlet
