// How the world answers the questions of an image: computed in the same way when the warm-up asks and when a
// launch asks again. System calls alone: the launch has no libc. Each function returns a hash of what it names,
// or what the error of the call makes of it: that a file may not be seen is an answer too.
#pragma once

#include "image/format.h"
#include "image/launch.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// There is nothing of this name (ENOENT).
constexpr uint64_t kAbsent = 0;
/// The system does not tell (statx(2) forbidden by a filter, out of descriptors): an answer that is equal to
/// none.
constexpr uint64_t kNever = ~uint64_t{0};

/// What statx(2) tells, Linux 4.11: the same on every architecture.
struct FileStatus {
  struct Time {
    int64_t seconds;
    uint32_t nanoseconds;
    uint32_t unused;
  };
  uint32_t mask, block_size;
  uint64_t attributes;
  uint32_t links, user;
  uint32_t group;
  uint16_t mode, unused;
  uint64_t inode, size, blocks, attributes_mask;
  Time accessed, born, changed, modified;
  uint32_t special_device[2];  // of a device: which
  uint32_t device[2];
  uint64_t room[14];
};
static_assert(sizeof(FileStatus) == 256 && offsetof(FileStatus, inode) == 32 &&
              offsetof(FileStatus, changed) == 96);

enum class Follow : bool { kNo, kYes };  // a symbolic link at the end of a path

/// Looks at `path`, relative to the descriptor `directory`; an empty one is the descriptor itself. 0, or errno.
int look(int directory, const char* path, Follow follow, FileStatus* status);

/// Which file, in which state: it differs whenever the content may do so. Of a device: which device.
uint64_t identity(const FileStatus& status);
uint64_t identity(int directory, const char* path, Follow follow);

/// Which build of a library or program the open file is, wherever it lies: its size, and kSample bytes from
/// `offset` on, or what there is of them. kNever if it cannot be read.
uint64_t build_identity(int fd, const FileStatus& status, uint32_t offset);
constexpr size_t kSample = 1024;

/// What access(2) and the mode tell: that it is there, its type, permissions and owners.
uint64_t kind(const FileStatus& status);

/// What the symbolic link contains, or that it is none.
uint64_t target(int directory, const char* path);

/// What can be read of `path`: for files in /proc and /sys, whose times tell nothing. kNever from kMostContent
/// bytes on.
uint64_t content(const char* path);
constexpr uint32_t kMostContent = 1 << 18;

/// The entry NAME=VALUE of `envp` with this name of `length` bytes, as getenv(3) finds it; null: it is not set.
const char* variable(char** envp, const char* name, size_t length);

/// All entries of `envp`, in their order, that `pattern`, the text of a kVariables, selects.
uint64_t variables(char** envp, const char* pattern);

/// Whether the descriptor in `which` is a terminal, and the TerminalDetails in it.
uint64_t terminal(uint32_t which);

/// The path of the working directory.
uint64_t working_directory();

/// Real, effective and saved user and group, and the supplementary groups. kNever for more than 1000 of them.
uint64_t user();

/// What uname(2) tells.
uint64_t host();

/// The processors that this process may run on.
uint64_t processors();

/// The limits, soft and hard, of `resource`.
uint64_t limit(uint32_t resource);

/// The answer to a question about `text`, of any kind but kBase and kVariable, which have none.
/// `directory`: what paths are relative to.
uint64_t answer(Asked asked, uint32_t aux, const char* text, int directory, char** envp);

/// For Header::processor: what the code that libraries have chosen for this processor depends on. `auxiliary`
/// ends with type 0.
uint64_t hash_processor(const AuxiliaryEntry* auxiliary);

/// Hashes `size` bytes at `data`, of any alignment, behind what `hash` is the hash of.
uint64_t hash_bytes(uint64_t hash, const void* data, size_t size);

}  // namespace moonlet::image
