#include "image/answer.h"

#include "base/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#ifndef SYS_statx
#error "statx(2) came with Linux 4.11: newer headers, please"
#endif

namespace moonlet::image {

namespace {

constexpr uint64_t kBasis = 0x6d6f6f6e6c657400U;

// errno as an answer. Those of a path are the path's; the others say nothing of it, and may be another's fault.
uint64_t answer_of_error(int error) {
  switch (error) {
    case ENOENT:
      return kAbsent;
    case EACCES:
    case EBADF:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOTDIR:
    case ENOTTY:
      return static_cast<uint64_t>(error);
    default:
      return kNever;
  }
}

// What a call has written to `data`, `size` bytes; -1: errno counts.
uint64_t answer_of_call(long size, const void* data) {
  return size < 0 ? answer_of_error(errno) : hash_bytes(kBasis, data, static_cast<size_t>(size));
}

// One buffer for all that is larger than a status: the launch's stack grows by it only where such a question is
// asked.
constexpr size_t kBuffer = 4096;

}  // namespace

[[gnu::noinline]] uint64_t hash_bytes(uint64_t hash, const void* data, size_t size) {
  struct [[gnu::packed, gnu::may_alias]] Unaligned {
    uint64_t value;
  };
  const auto* byte = static_cast<const unsigned char*>(data);
  hash = mix(hash, size);
  for (; size >= sizeof(Unaligned); size -= sizeof(Unaligned), byte += sizeof(Unaligned))
    hash = mix(hash, reinterpret_cast<const Unaligned*>(byte)->value);
  uint64_t rest = 0;
  while (size-- > 0) rest = rest << 8 | *byte++;
  return mix(hash, rest);
}

int look(int directory, const char* path, Follow follow, FileStatus* status) {
  constexpr int kNoFollow = 0x100, kEmptyPath = 0x1000;  // AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH
  constexpr unsigned kBasic = 0x7ff;                     // STATX_BASIC_STATS
  const int flags = follow == Follow::kYes ? kEmptyPath : kEmptyPath | kNoFollow;
  return syscall(SYS_statx, directory, path, flags, kBasic, status, kernel::kOwnCall) == 0 ? 0 : errno;
}

uint64_t identity(const FileStatus& status) {
  const uint32_t type = status.mode & S_IFMT;
  // The times of a device are those of its use, and its inode is new after each boot.
  if (type == S_IFCHR || type == S_IFBLK)
    return hash_bytes(type, status.special_device, sizeof status.special_device);
  uint64_t hash = hash_bytes(type, status.device, sizeof status.device);
  if (type == S_IFIFO || type == S_IFSOCK) return hash_bytes(hash, &status.inode, sizeof status.inode);
  hash = hash_bytes(hash, &status.inode, sizeof status.inode + sizeof status.size);
  return hash_bytes(hash, &status.changed, sizeof status.changed + sizeof status.modified);
}

uint64_t identity(int directory, const char* path, Follow follow) {
  FileStatus status;
  const int error = look(directory, path, follow, &status);
  return error != 0 ? answer_of_error(error) : identity(status);
}

[[gnu::noinline]] uint64_t build_identity(int fd, const FileStatus& status, uint32_t offset) {
  char sample[kSample];
  const ssize_t size = pread(fd, sample, sizeof sample, static_cast<off_t>(offset));
  return size < 0 ? kNever : hash_bytes(mix(kBasis, status.size), sample, static_cast<size_t>(size));
}

uint64_t kind(const FileStatus& status) {
  return hash_bytes(kBasis, &status.user, sizeof status.user + sizeof status.group + sizeof status.mode);
}

[[gnu::noinline]] uint64_t target(int directory, const char* path) {
  char text[kBuffer];
  return answer_of_call(syscall(SYS_readlinkat, directory, path, text, sizeof text), text);
}

[[gnu::noinline]] uint64_t content(const char* path) {
  char text[kBuffer];
  const int fd =
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd < 0) return answer_of_error(errno);
  uint64_t hash = kBasis;
  size_t most = kMostContent;
  long size;
  // These files give what fits, or less.
  while ((size = syscall(SYS_read, fd, text, sizeof text)) > 0 && most > 0) {
    hash = hash_bytes(hash, text, static_cast<size_t>(size));
    most -= static_cast<size_t>(size) < most ? static_cast<size_t>(size) : most;
  }
  if (size != 0) hash = size > 0 ? kNever : answer_of_error(errno);
  syscall(SYS_close, fd);
  return hash;
}

const char* variable(char** envp, const char* name, size_t length) {
  for (; *envp != nullptr; envp++) {
    if (**envp == *name && strncmp(*envp, name, length) == 0 && (*envp)[length] == '=') return *envp;
  }
  return nullptr;
}

uint64_t variables(char** envp, const char* pattern) {
  const size_t length = strlen(pattern);
  uint64_t hash = kBasis;
  for (; *envp != nullptr; envp++) {
    if (strncmp(*envp, pattern, length) != 0) continue;
    const char* left_out = pattern + length + 1;
    while (*left_out != '\0' && strncmp(*envp, left_out, strlen(left_out)) != 0)
      left_out += strlen(left_out) + 1;
    if (*left_out == '\0') hash = hash_bytes(hash, *envp, strlen(*envp));
  }
  return hash;
}

uint64_t terminal(uint32_t which) {
#if defined(__mips__)
  constexpr size_t kSize = 40;  // of the kernel's struct termios
#else
  constexpr size_t kSize = 36;
#endif
  const int fd = static_cast<int>(which & kDescriptor);
  char settings[kSize];
  struct winsize size;
  // What is none, a file or a pipe, says so in the same way.
  if (syscall(SYS_ioctl, fd, TCGETS, settings) != 0) return answer_of_error(errno);
  uint64_t hash = kBasis;
  if ((which & kSettings) != 0) hash = hash_bytes(hash, settings, kSize);
  if ((which & kWindowSize) != 0 && syscall(SYS_ioctl, fd, TIOCGWINSZ, &size) == 0)
    hash = hash_bytes(hash, &size, sizeof size);
  return hash;
}

[[gnu::noinline]] uint64_t working_directory() {
  char path[kBuffer];
  return answer_of_call(syscall(SYS_getcwd, path, sizeof path), path);
}

[[gnu::noinline]] uint64_t user() {
  uint32_t ids[kBuffer / 4];
#if defined(SYS_getresuid32)
  syscall(SYS_getresuid32, ids, ids + 1, ids + 2);
  syscall(SYS_getresgid32, ids + 3, ids + 4, ids + 5);
  const long groups = syscall(SYS_getgroups32, 1000, ids + 6);
#else
  syscall(SYS_getresuid, ids, ids + 1, ids + 2);
  syscall(SYS_getresgid, ids + 3, ids + 4, ids + 5);
  const long groups = syscall(SYS_getgroups, 1000, ids + 6);
#endif
  return groups < 0 ? kNever : answer_of_call(4 * (6 + groups), ids);
}

uint64_t host() {
  utsname name;
  const long result = syscall(SYS_uname, &name);
  return answer_of_call(result < 0 ? result : static_cast<long>(sizeof name), &name);
}

[[gnu::noinline]] uint64_t processors() {
  uint64_t set[kBuffer / 8];
  return answer_of_call(syscall(SYS_sched_getaffinity, 0, sizeof set, set), set);
}

uint64_t limit(uint32_t resource) {
  uint64_t limits[2];
  const long result = syscall(SYS_prlimit64, 0, resource, nullptr, limits);
  return answer_of_call(result < 0 ? result : static_cast<long>(sizeof limits), limits);
}

uint64_t answer(Asked asked, uint32_t aux, const char* text, int directory, char** envp) {
  switch (asked) {
    case Asked::kDirectory:
    case Asked::kFile:
      return identity(directory, text, Follow::kYes);
    case Asked::kLink:
      return identity(directory, text, Follow::kNo);
    case Asked::kKind: {
      FileStatus status;
      const int error = look(directory, text, Follow::kYes, &status);
      return error != 0 ? answer_of_error(error) : kind(status);
    }
    case Asked::kTarget:
      return target(directory, text);
    case Asked::kContent:
      return content(text);
    case Asked::kVariables:
      return variables(envp, text);
    case Asked::kTerminal:
      return terminal(aux);
    case Asked::kWorkingDirectory:
      return working_directory();
    case Asked::kUser:
      return user();
    case Asked::kHost:
      return host();
    case Asked::kProcessors:
      return processors();
    case Asked::kLimit:
      return limit(aux);
    default:
      return kNever;
  }
}

}  // namespace moonlet::image
