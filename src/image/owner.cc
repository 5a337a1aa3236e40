#include "image/owner.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "image/answer.h"

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

// statfs(2), "filesystem types", or that of file systems in user space where it cannot be had. These say what
// they like of owners.
constexpr uint32_t kFuse = 0x65735546;
uint32_t file_system(int fd) {
  long status[32] = {};  // struct statfs, whose first word is the type on every machine
  return syscall(SYS_fstatfs, fd, status) == 0 ? static_cast<uint32_t>(status[0]) : kFuse;
}

// Whether each directory above `path`, absolute, is safe; unknown if one of them is a link: then it is not what
// is above it that counts.
enum class Answer { kSafe, kUnsafe, kUnknown };

Answer judge_directory(const char* path, uint32_t user) {
  FileStatus status;
  if (look(AT_FDCWD, path, Follow::kNo, &status) != 0 || (status.mode & S_IFMT) == S_IFLNK)
    return Answer::kUnknown;
  return is_safe(status, user) ? Answer::kSafe : Answer::kUnsafe;
}

// In place, cut at each slash: a copy would be another page.
Answer judge_directories(char* path, uint32_t user) {
  Answer answer = judge_directory("/", user);
  for (char* at = path + strlen(path); answer == Answer::kSafe && --at > path;) {
    if (*at != '/') continue;
    *at = '\0';
    answer = judge_directory(path, user);
    *at = '/';
  }
  return answer;
}

// Links are looked for, and ".." is one as well.
bool is_plain(const char* path) {
  for (const char* at = path; *at != '\0'; at++) {
    if (at[0] == '/' && at[1] == '.' && at[2] == '.') return false;
  }
  return path[0] == '/';
}

}  // namespace

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

const char* judge_owner(int fd, char* name) {
  const auto user = static_cast<uint32_t>(syscall(SYS_geteuid));
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0 || !is_safe(status, user))
    return "belongs to another user, or others may write it";
  if (file_system(fd) == kFuse) return "is on a file system in user space";
  if (name == nullptr) return nullptr;
  Answer answer = Answer::kUnknown;
  // As it was named, if no link is on the way: /proc takes longer than all else here.
  FileStatus named;
  if (is_plain(name) && look(AT_FDCWD, name, Follow::kNo, &named) == 0 && identity(named) == identity(status))
    answer = judge_directories(name, user);
  if (answer == Answer::kUnknown) {
    MOONLET_LARGE static char path[PATH_MAX];
    if (!find_path(fd, path, sizeof path)) return "has no known path (is /proc mounted?)";
    answer = judge_directories(path, user);
  }
  return answer == Answer::kSafe ? nullptr : "is in a directory of another user, or where others may write";
}

bool is_on_local_file_system(int fd) {
  static constexpr uint32_t kLocal[] = {
      0xef53,      // ext2, ext3, ext4
      0x58465342,  // XFS
      0x9123683e,  // Btrfs
      0x01021994,  // tmpfs
      0x794c7630,  // overlay
      0x2fc12fc1,  // ZFS
      0xf2f52010,  // F2FS
      0xca451a4e,  // bcachefs
      0x24051905,  // UBIFS
      0x858458f6,  // ramfs
      0xf15f,      // eCryptfs
      0x3153464a,  // JFS
      0x52654973,  // ReiserFS
      0x3434,      // NILFS
      0x72b6,      // JFFS2
  };
  const uint32_t its = file_system(fd);
  for (const uint32_t type : kLocal) {
    if (type == its) return true;
  }
  return false;
}

}  // namespace moonlet::image
