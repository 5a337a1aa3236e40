#include "freeze/files.h"

#include "image/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

using image::Asked;
using image::FileStatus;
using image::Follow;

enum class FileSystem : uint8_t {
  kLocal,   // changes times as POSIX says
  kOther,   // overlays (a lower directory's change shows in no time of the merged one), FUSE, of a network
  kPseudo,  // its files are answers, not data
};

// By what statfs(2) has for a type.
constexpr uint32_t kLocal[] = {
    0xef53,      // ext2, 3, 4
    0x58465342,  // XFS
    0x9123683e,  // btrfs
    0xca451a4e,  // bcachefs
    0x2fc12fc1,  // ZFS
    0xf2f52010,  // F2FS
    0x24051905,  // UBIFS
    0x72b6,      // JFFS2
    0x73717368,  // squashfs
    0xe0f5e1e2,  // EROFS
    0x01021994,  // tmpfs
    0x858458f6,  // ramfs
};
constexpr uint32_t kPseudo[] = {
    0x9fa0,      // proc
    0x62656572,  // sysfs
    0x64626720,  // debugfs
    0x74726163,  // tracefs
    0x73636673,  // securityfs
    0xf97cff8c,  // SELinux
    0x43415d53,  // smack
    0x27e0eb,    // cgroup
    0x63677270,  // cgroup 2
    0x42494e4d,  // binfmt_misc
    0xcafe4a11,  // bpf
    0x62656570,  // configfs
    0xde5e81e4,  // efivarfs
    0x6165676c,  // pstore
};

template <size_t kCount>
bool has(const uint32_t (&list)[kCount], uint32_t type) {
  for (const uint32_t it : list) {
    if (it == type) return true;
  }
  return false;
}

FileSystem classify(uint32_t type) {
  if (has(kLocal, type)) return FileSystem::kLocal;
  return has(kPseudo, type) ? FileSystem::kPseudo : FileSystem::kOther;
}

struct {
  uint32_t device[2];
  FileSystem is;
} known[16];
unsigned known_count = 0;

// statfs(2) is asked once for each device.
FileSystem file_system(const char* path, const uint32_t device[2]) {
  for (unsigned i = 0; i < known_count; i++) {
    if (memcmp(known[i].device, device, sizeof known[i].device) == 0) return known[i].is;
  }
  struct statfs about;
  if (statfs(path, &about) != 0) return FileSystem::kOther;
  const FileSystem is = classify(static_cast<uint32_t>(about.f_type));
  if (known_count < sizeof known / sizeof *known) {
    memcpy(known[known_count].device, device, sizeof known[known_count].device);
    known[known_count++].is = is;
  }
  return is;
}

void record(Log* log, Asked asked, const char* path, uint64_t answer) {
  log->add(asked, 0, path, strlen(path), answer);
}

void ask_user(Log* log) {
  if (!log->knows(Asked::kUser, 0, "", 0)) log->add(Asked::kUser, 0, "", 0, image::user());
}

uint64_t answer_to(Asked asked, const char* path) { return image::answer(asked, 0, path, AT_FDCWD, nullptr); }

// The part of a path in /proc behind the asking process' own directory; null: it is not in there.
const char* of_own_process(const char* path) {
  constexpr char kProcess[] = "/proc/self/", kThread[] = "/proc/thread-self/";
  if (strncmp(path, kProcess, sizeof kProcess - 1) == 0) return path + sizeof kProcess - 1;
  if (strncmp(path, kThread, sizeof kThread - 1) == 0) return path + sizeof kThread - 1;
  return nullptr;
}

// A pseudo file's answer counts if it is the same for each process. What is read of it is its content; of all
// else, that it is there.
void ask_pseudo(Log* log, Asks asks, Asked asked, const char* path, const FileStatus& status, pid_t pid) {
  const char* own = of_own_process(path);
  const bool of_another = own == nullptr && strncmp(path, "/proc/", 6) == 0 && path[6] >= '0' && path[6] <= '9';
  const bool lists = asks == Asks::kOpen && S_ISDIR(status.mode);  // what is in it cannot be compared
  if (of_another || lists) return log->add_problem(Matter::kNeverTheSame, path);
  if (asked == Asked::kFile || asked == Asked::kLink)
    asked = asks == Asks::kOpen ? Asked::kContent : Asked::kKind;
  const uint64_t mine = answer_to(asked, path);
  if (own != nullptr && pid != 0) {
    // This process is another one than the asking one: what they agree on may be true of a launch.
    char its[4200];
    snprintf(its, sizeof its, "/proc/%d/%s", static_cast<int>(pid), own);
    if (answer_to(asked, its) != mine) {
      // Descriptors that the warm-up has opened itself are none of the world.
      if (strncmp(own, "fd/", 3) != 0) log->add_problem(Matter::kNeverTheSame, path);
      return;
    }
  }
  record(log, asked, path, mine);
}

void ask_device(Log* log, const char* path, const FileStatus& status) {
  constexpr uint32_t kMemory = 1, kTerminal = 5;  // major numbers, Documentation/admin-guide/devices.txt
  const uint32_t major = status.special_device[0];
  const uint32_t minor = status.special_device[1];
  if ((status.mode & S_IFMT) == S_IFCHR && major == kMemory && (minor == 8 || minor == 9)) {
    log->add_problem(Matter::kRandom, path);
  } else if ((status.mode & S_IFMT) != S_IFCHR ||
             !((major == kMemory && (minor == 3 || minor == 5 || minor == 7)) ||
               (major == kTerminal && minor == 0))) {
    log->add_problem(Matter::kDevice, path);
  }
}

// Waits until a further change of a file that is about to be read would show in its times.
void let_age(Log* log, const char* path, FileStatus* status) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; i++) {
    int64_t left = time_to_age(*status);
    if (left == 0) return;
    timespec time = {};
    for (; left >= 1000000000; left -= 1000000000) time.tv_sec++;  // two at most
    time.tv_nsec = static_cast<long>(left);
    nanosleep(&time, nullptr);
    if (image::look(AT_FDCWD, path, Follow::kYes, status) != 0) return;
  }
  log->add_problem(Matter::kChanged, path);
}

bool is_shared_directory(const FileStatus& status) {
  return S_ISDIR(status.mode) && (status.mode & S_ISVTX) != 0 && (status.mode & S_IWOTH) != 0;
}

void will_make(Log* log, const char* path) {
  FileStatus status;
  if (image::look(AT_FDCWD, path, Follow::kNo, &status) == ENOENT) log->add(kOwnFile, 0, path, strlen(path), 0);
}

// What lies on a disk, or in memory. Of what is read no later change may bear the same time.
void ask_real(Log* log, Asks asks, Asked asked, const char* path, FileStatus& status) {
  const bool is_read = asks == Asks::kOpen;
  if (is_read && (S_ISCHR(status.mode) || S_ISBLK(status.mode) || S_ISFIFO(status.mode)))
    ask_device(log, path, status);
  if (is_read && (S_ISREG(status.mode) || S_ISDIR(status.mode))) let_age(log, path, &status);
  // Who else has files there is no answer to one who looks whether it is there.
  if (asks == Asks::kStat && is_shared_directory(status)) asked = Asked::kKind;
  // What is forbidden to another user stands in no time.
  const unsigned needed = is_read ? S_IROTH : asks == Asks::kExecute ? S_IXOTH : 0U;
  if (asks == Asks::kAccess || (status.mode & needed) != needed) ask_user(log);
  const bool is_kind = asked == Asked::kKind;
  record(log, asked, path,
         asked == Asked::kTarget ? answer_to(asked, path)
         : is_kind               ? image::kind(status)
                                 : image::identity(status));
}

Asked asked_by(Asks asks) {
  switch (asks) {
    case Asks::kLstat:
      return Asked::kLink;
    case Asks::kReadLink:
      return Asked::kTarget;
    case Asks::kExists:
    case Asks::kAccess:
      return Asked::kKind;
    default:
      return Asked::kFile;
  }
}

void ask_file(Log* log, Asks asks, const char* path, pid_t pid) {
  if (*path == '\0' || log->options.trust || log->ignores_path(path) || is_own_file(log, path)) return;
  if (strcmp(path, "/proc/self/exe") == 0) return log->add_problem(Matter::kItself, path);
  const Asked asked = asked_by(asks);
  if (log->knows(asked, 0, path, strlen(path)) && asks != Asks::kAccess) return;
  FileStatus status;
  const Follow follow = asked == Asked::kLink || asked == Asked::kTarget ? Follow::kNo : Follow::kYes;
  if (image::look(AT_FDCWD, path, follow, &status) != 0)
    return record(log, asked, path, answer_to(asked, path));
  if (file_system(path, status.device) == FileSystem::kPseudo)
    return ask_pseudo(log, asks, asked, path, status, pid);
  ask_real(log, asks, asked, path, status);
}

void ask_open(Log* log, const char* path, int flags, pid_t pid) {
  if (log->options.trust) return;
#ifdef O_TMPFILE
  if ((flags & O_TMPFILE) == O_TMPFILE) return;
#endif
#ifdef O_PATH
  if ((flags & O_PATH) != 0) return ask_file(log, Asks::kStat, path, pid);
#endif
  const bool is_read = (flags & O_ACCMODE) != O_WRONLY && (flags & O_TRUNC) == 0;
  if (is_read && (flags & O_CREAT) == 0) return ask_file(log, Asks::kOpen, path, pid);
  FileStatus status;
  const int error = image::look(AT_FDCWD, path, Follow::kYes, &status);
  if (error == ENOENT && (flags & O_CREAT) != 0) return will_make(log, path);
  if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return ask_file(log, Asks::kExists, path, pid);
  if (is_read) return ask_file(log, Asks::kOpen, path, pid);
  // A file that is written to, a log: whether it can be opened is all that counts.
  if (error != 0) ask_file(log, Asks::kExists, path, pid);
}

}  // namespace

int64_t time_to_age(const FileStatus& status) {
  constexpr int64_t kSecond = 1000000000;
  constexpr int64_t kTick = kSecond / 50;  // twice that of a kernel with 100 Hz, the slowest
  timespec now;
  timespec_get(&now, TIME_UTC);  // clock_gettime(2) is one that the warm-up is asked about (interposed_list.h)
  // Where seconds are all that the file system keeps.
  const bool is_coarse = status.changed.nanoseconds == 0 && status.modified.nanoseconds == 0;
  const int64_t age =
      (now.tv_sec - status.changed.seconds) * kSecond + now.tv_nsec - status.changed.nanoseconds;
  const int64_t enough = is_coarse ? 2 * kSecond : kTick;
  // One from the future is older than the clock: the next change sets it back.
  return age < 0 || age > enough ? 0 : enough - age;
}

bool tells_changes(int directory, const char* path) {
  FileStatus status;
  return image::look(directory, path, Follow::kYes, &status) == 0 && S_ISDIR(status.mode) &&
         file_system(path, status.device) == FileSystem::kLocal && time_to_age(status) == 0;
}

bool is_own_file(const Log* log, const char* path) {
  constexpr size_t kVariable = 6;  // letters X, the end of a mkstemp(3) template
  constexpr size_t kLongest = 4096;
  const size_t length = strlen(path);
  if (log->knows(kOwnFile, 0, path, length)) return true;
  if (length <= kVariable || length >= kLongest) return false;
  char made_of[kLongest];
  memcpy(made_of, path, length + 1);
  memset(made_of + length - kVariable, 'X', kVariable);
  return log->knows(kOwnFile, 0, made_of, length);
}

void forget_file_systems() { known_count = 0; }

void ask_path(Log* log, Asks asks, const char* path, unsigned long flags, pid_t pid) {
  switch (asks) {
    case Asks::kOpen:
      return ask_open(log, path, static_cast<int>(flags), pid);
    case Asks::kMake:
      return will_make(log, path);
    case Asks::kStat:
      if ((flags & AT_SYMLINK_NOFOLLOW) != 0) asks = Asks::kLstat;
      break;
    case Asks::kAccess:
      if (flags == F_OK) asks = Asks::kExists;
      break;
    case Asks::kEnter:
      asks = Asks::kAccess;
      break;
    default:
      break;
  }
  ask_file(log, asks, path, pid);
}

}  // namespace moonlet::freeze::questions
