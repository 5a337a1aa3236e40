// statx(2), Linux 4.11: the one call that tells of a file in the same words on every machine.
#pragma once

#include "base/kernel.h"
#include "image/format.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_statx
#define SYS_statx MOONLET_NEW_CALL(332)
#endif

namespace moonlet::image {

/// The kernel's struct statx, with the names of stat(2).
struct FileStatus {
  struct Time {
    int64_t seconds;
    uint32_t nanoseconds;
    int32_t unused;
  };
  uint32_t mask;
  uint32_t block_size;
  uint64_t attributes;
  uint32_t links;
  uint32_t user;
  uint32_t group;
  uint16_t mode;
  uint16_t unused;
  uint64_t inode;
  uint64_t size;  // bytes
  uint64_t blocks;
  uint64_t attributes_mask;
  Time accessed, born, changed, modified;
  uint32_t special_device[2];
  uint32_t device[2];
  uint64_t room[14];
};
static_assert(sizeof(FileStatus) == 256);

/// Of `path` below `directory` (AT_FDCWD), or with an empty path of the descriptor itself. `flags`:
/// AT_SYMLINK_NOFOLLOW, or 0.
inline bool find_status(int directory, const char* path, int flags, FileStatus& status) {
  constexpr int kEmptyPath = 0x1000;  // AT_EMPTY_PATH
  constexpr unsigned kBasic = 0x7ff;  // STATX_BASIC_STATS
  return syscall(SYS_statx, directory, path, flags | (*path == '\0' ? kEmptyPath : 0), kBasic, &status) == 0;
}

/// Tells two files, and two states of one file, apart: device, inode, kind, size, and when it was changed.
inline uint64_t identity(const FileStatus& status) {
  const uint64_t words[] = {uint64_t{status.device[0]} << 32 | status.device[1],
                            status.inode,
                            status.size,
                            uint64_t{status.mode} & 0170000,
                            static_cast<uint64_t>(status.modified.seconds),
                            static_cast<uint64_t>(status.changed.seconds),
                            uint64_t{status.modified.nanoseconds} << 32 | status.changed.nanoseconds};
  return checksum(words, sizeof words);
}

}  // namespace moonlet::image
