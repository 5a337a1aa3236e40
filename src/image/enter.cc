#include "image/enter.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "base/memory.h"
#include "image/answer.h"
#include "image/ask.h"
#include "image/format.h"
#include "image/machine.h"
#include "image/owner.h"
#include "image/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// Tables in memory: read, or mapped.
struct Loaded : Tables {
  size_t mapped = 0;  // bytes; 0: they were read
};

// Tables that are small are read, which costs less than to map them: onto the stack, whose pages the script
// needs too. At an offset, because a descriptor's own is shared by all who have it from moonletd.
constexpr uint64_t kSmall = 16 << 10;  // bytes

// Says what is wrong with the header of the image `fd`, or null.
const char* read_header(int fd, const Expected& expected, Header& header) {
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0 || (status.mode & S_IFMT) != S_IFREG ||
      pread(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
    return "is no image";
  return judge_header(header, status, expected);
}

// Likewise of the tables. They go to `room` or, if that is null, are mapped.
const char* read_tables(int fd, const Header& header, char* room, Loaded& tables) {
  const auto size = static_cast<size_t>(header.tables_size);
  if (room != nullptr) {
    const size_t rest = size - sizeof header;
    memcpy(room, &header, sizeof header);
    if (pread(fd, room + sizeof header, rest, sizeof header) != static_cast<ssize_t>(rest))
      return "cannot be read";
    tables.at = room;
  } else {
    void* const at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) return "cannot be read";
    tables.at = static_cast<const char*>(at);
    tables.mapped = size;
    if (memcmp(at, &header, sizeof header) != 0) return "cannot be read";  // somebody is writing to it
  }
  return judge_tables(tables);
}

// Whether the warm-up, run now, would do the same. A rehearsal does not ask.
Doubt ask(const Tables& tables, const Launch& launch) {
  const Header& header = tables.header();
  if (launch.argc == 0) return {};
  const Difference difference = first_that_differs(tables.at + header.questions, header.questions_size,
                                                   launch.envp, (header.flags & kTrusted) != 0);
  if (difference.question == nullptr) return {};
  MOONLET_LARGE static char words[512];
  describe(difference, words, sizeof words);
  return {nullptr, words};
}

// Whether `fd` is what was frozen. An image that is trusted has been made elsewhere, from a copy of the file.
bool is_as_frozen(int fd, const MappedFile& file, bool trusted) {
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0) return false;
  return (trusted ? build_identity(fd, status, file.sample) : identity(status)) == file.identity;
}

// Opens each file that segments come from, at descriptor[i]: it is the very file that is then mapped.
Doubt open_files(const Tables& tables, int* descriptor) {
  const Header& header = tables.header();
  for (uint32_t i = 0; i < header.files; i++) {
    const char* path = tables.path(i);
    descriptor[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor[i] < 0) return {path, nullptr, errno};
    if (!is_as_frozen(descriptor[i], tables.files()[i], (header.flags & kTrusted) != 0))
      return {path, "has changed"};
  }
  return {};
}

bool map_segment(const Segment& it, int fd) {
  auto* const address = reinterpret_cast<void*>(static_cast<uintptr_t>(it.address));
  const auto size = static_cast<size_t>(it.size);
  if (it.file == kWritten) {
    if (size != 0) madvise(address, size, MADV_POPULATE_WRITE);  // or each page faults by itself
    return true;
  }
  if (it.file == kBorder) return madvise(address, size, MADV_RANDOM) == 0;
  const int type = it.nature == Nature::kDroppable ? MAP_DROPPABLE : MAP_PRIVATE;
  const int flags = type | MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);
  // Linux before 4.17 takes the address for a wish, and puts the mapping elsewhere if that is taken.
  if (mmap(address, size, it.protection, flags, fd, static_cast<off_t>(it.offset)) != address) return false;
  return it.nature != Nature::kWipedOnFork || madvise(address, size, MADV_WIPEONFORK) == 0;
}

Doubt map_segments(const Tables& tables, const char* path, int image, const int* descriptor) {
  for (uint32_t i = 0; i < tables.header().segments; i++) {
    const Segment& it = tables.segments()[i];
    const int fd = it.file >= 0 ? descriptor[it.file] : it.file == kOfImage ? image : -1;
    if (!map_segment(it, fd)) return {path, "cannot be mapped where it belongs", errno};
  }
  return {};
}

}  // namespace

// What is open or mapped when there is a doubt goes with the exec of lua.
Doubt enter(char* path, int given, const Expected& expected, const Launch& launch) {
  int descriptor[kMaxFiles] = {};
  Loaded tables;
  const int image = given >= 0 ? given : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (image < 0) return {path, nullptr, errno};
  Header header;
  if (const char* problem = read_header(image, expected, header)) return {path, problem};
  const bool is_small = header.tables_size <= kSmall;
  auto* const room =
      is_small ? static_cast<char*>(__builtin_alloca(static_cast<size_t>(header.tables_size))) : nullptr;
  if (const char* problem = read_tables(image, header, room, tables)) return {path, problem};
  if (const char* problem = judge_owner(image, given >= 0 ? nullptr : path)) return {path, problem};
  if (Doubt doubt = ask(tables, launch)) return doubt;
  if (Doubt doubt = open_files(tables, descriptor)) return doubt;
  if (Doubt doubt = map_segments(tables, path, image, descriptor)) return doubt;
  for (uint32_t i = 0; i < header.files; i++) close(descriptor[i]);
  close(image);
  if (tables.mapped != 0) munmap(const_cast<char*>(tables.at), tables.mapped);
  if (!set_thread_pointer(header.thread_pointer)) return {path, "the thread pointer cannot be set", errno};
  call_on_stack(launch.stack, static_cast<uintptr_t>(header.entry), &launch);
}

}  // namespace moonlet::image
