// Whose file an image is: what is in it becomes the memory of whoever thaws it.
#pragma once

#include <stddef.h>

namespace moonlet::image {

/// Why the open file `fd`, opened as `name` (which is written to, and put right), is not to be trusted, or
/// null. It must belong to root or to the effective user, nobody else may be able to write it, and the same
/// holds for each directory above it (but for sticky ones, such as /tmp) and each file system. Where `name` is
/// null somebody else has opened it, who answers for the directories.
const char* judge_owner(int fd, char* name);

/// The path that the kernel knows for the open file `fd`, without links, in `path` of `size` bytes. False
/// without /proc, or where it has none.
bool find_path(int fd, char* path, size_t size);

/// Whether the open file `fd` is on a file system of this machine: of a kind that is known for that. On another
/// one, a network's or one in user space, a call may wait for ever, and a lock may mean nothing.
bool is_on_local_file_system(int fd);

}  // namespace moonlet::image
