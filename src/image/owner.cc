#include "image/owner.h"

#include "base/kernel.h"
#include "image/file_status.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

bool is_safe(const FileStatus& status, uint32_t user) {
  if (status.user != 0 && status.user != user) return false;
  const bool others_write = (status.mode & (S_IWGRP | S_IWOTH)) != 0;
  return !others_write || ((status.mode & S_IFMT) == S_IFDIR && (status.mode & S_ISVTX) != 0);
}

// A file system in user space says what it likes of owners.
bool is_on_fuse(int fd) {
  constexpr long kFuse = 0x65735546;  // FUSE_SUPER_MAGIC
  long status[32] = {};               // struct statfs, whose first word is the type on every machine
#if defined(SYS_fstatfs64) && __SIZEOF_LONG__ == 4
  return syscall(SYS_fstatfs64, fd, size_t{88}, status) != 0 || status[0] == kFuse;
#else
  return syscall(SYS_fstatfs, fd, status) != 0 || status[0] == kFuse;
#endif
}

// The path that the kernel knows for `fd`, without links. False without /proc.
bool find_path(int fd, char* path, size_t size) {
  char link[32] = "/proc/self/fd/";
  char* end = link + strlen(link);
  char digits[12];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + fd % 10);
  while ((fd /= 10) > 0);
  while (count > 0) *end++ = digits[--count];
  *end = '\0';
  const ssize_t length = readlink(link, path, size - 1);
  if (length <= 0 || path[0] != '/') return false;
  path[length] = '\0';
  return true;
}

}  // namespace

const char* judge_owner(int fd) {
  const auto user = static_cast<uint32_t>(syscall(SYS_geteuid));
  FileStatus status;
  char path[PATH_MAX];
  if (!find_status(fd, "", 0, status) || !is_safe(status, user))
    return "belongs to another user, or others may write it";
  if (is_on_fuse(fd)) return "is on a file system in user space";
  if (!find_path(fd, path, sizeof path)) return "has no known path (is /proc mounted?)";
  while (char* const slash = strrchr(path, '/')) {
    slash[slash == path ? 1 : 0] = '\0';
    if (!find_status(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, status) || !is_safe(status, user))
      return "is in a directory of another user, or where others may write";
    if (slash == path) break;
  }
  return nullptr;
}

}  // namespace moonlet::image
