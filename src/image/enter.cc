#include "image/enter.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "image/answer.h"
#include "image/ask.h"
#include "image/format.h"
#include "image/machine.h"
#include "image/owner.h"
#include "image/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace moonlet::image {

namespace {

// The tables of an image, mapped. Offsets in them are data from outside.
struct Tables {
  const char* at = nullptr;
  size_t mapped = 0;  // bytes; 0: they were read

  [[nodiscard]] const Header& header() const { return *reinterpret_cast<const Header*>(at); }
  [[nodiscard]] const Segment* segments() const {
    return reinterpret_cast<const Segment*>(at + sizeof(Header));
  }
  [[nodiscard]] const MappedFile* files() const {
    return reinterpret_cast<const MappedFile*>(segments() + header().segments);
  }
};

bool is_aligned(uint64_t value, uint64_t page) { return (value & (page - 1)) == 0; }

bool is_sound(const Segment& it, const Header& header) {
  const uint64_t end = it.address + it.size;
  if (it.file == kWritten && it.size == 0) return true;
  if (!is_aligned(it.address | it.size | it.offset, header.page_size) || !is_in_window(it.address, end) ||
      it.file < kBorder || it.file >= static_cast<int>(header.files))
    return false;
  return it.file != kOfImage || (it.size <= header.file_size && it.offset <= header.file_size - it.size);
}

// Whether the tables are consistent: a mapping in a wrong place would be a crash.
bool are_sound(const Tables& tables) {
  const Header& header = tables.header();
  const uint64_t fixed =
      sizeof header + uint64_t{header.segments} * sizeof(Segment) + uint64_t{header.files} * sizeof(MappedFile);
  const uint64_t texts = uint64_t{header.questions} + header.questions_size;
  if (header.segments > kMaxSegments || header.files > kMaxFiles || header.questions < fixed ||
      (header.questions | header.questions_size) % 8 != 0 || texts >= header.tables_size ||
      tables.at[header.tables_size - 1] != '\0')
    return false;
  bool enters = false;
  uint64_t last = 0;  // segments ascend, so that none lies over another
  for (uint32_t i = 0; i < header.segments; i++) {
    const Segment& it = tables.segments()[i];
    if (!is_sound(it, header)) return false;
    if (it.file <= kWritten) continue;
    if (it.address < last) return false;
    enters |= (it.protection & kExecute) != 0 && header.entry - it.address < it.size;
    last = it.address + it.size;
  }
  for (uint32_t i = 0; i < header.files; i++) {
    const uint32_t path = tables.files()[i].path;
    if (path < texts || path >= header.tables_size) return false;
  }
  return enters;
}

// Tables that are small are read, which costs less than to map them.
MOONLET_LARGE alignas(Header) char room[16 << 10];

bool read_header(int fd, Tables& tables) {
  tables.at = room;
  return read(fd, room, sizeof(Header)) == static_cast<ssize_t>(sizeof(Header));
}

bool read_rest(int fd, size_t size, Tables& tables) {
  constexpr size_t kRead = sizeof(Header);
  if (size <= sizeof room) return read(fd, room + kRead, size - kRead) == static_cast<ssize_t>(size - kRead);
  void* const at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  tables.at = static_cast<const char*>(at);
  tables.mapped = size;
  return reinterpret_cast<uintptr_t>(at) < static_cast<uintptr_t>(-4096);
}

const char* judge_header(const Header& header, const FileStatus& status, const Expected& expected) {
  if (memcmp(header.magic, kMagic, sizeof kMagic) != 0) return "is no image";
  if (header.format != kFormat || header.build != expected.build) return "was made by another build of moonlet";
  if (header.lua != expected.lua) return "is of another Lua";
  if (header.page_size != expected.page_size || header.processor != expected.processor)
    return "was made on another processor";
  if (header.file_size != status.size || header.tables_size > kMaxTables ||
      header.tables_size > header.file_size || header.tables_size < sizeof header)
    return "is damaged";
  if ((header.flags & kTrusted) == 0 && (header.made_seconds != status.modified.seconds ||
                                         header.made_nanoseconds != status.modified.nanoseconds))
    return "has been changed";
  return nullptr;
}

// Maps the tables of the image `fd` and says what is wrong with them, or null.
const char* read_tables(int fd, const Expected& expected, Tables& tables) {
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0 || (status.mode & S_IFMT) != S_IFREG || !read_header(fd, tables))
    return "is no image";
  const Header& header = tables.header();
  if (const char* problem = judge_header(header, status, expected)) return problem;
  if (!read_rest(fd, static_cast<size_t>(header.tables_size), tables)) return "cannot be read";
  constexpr size_t kUnchecked = offsetof(Header, checksum) + sizeof header.checksum;
  const auto checked = static_cast<size_t>(tables.header().tables_size - kUnchecked);
  if (checked % 8 != 0 || checksum(tables.at + kUnchecked, checked) != tables.header().checksum ||
      !are_sound(tables))
    return "is damaged";
  return nullptr;
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

// Opens each file that segments come from, at descriptor[i]: it is the very file that is then mapped.
Doubt open_files(const Tables& tables, int* descriptor) {
  for (uint32_t i = 0; i < tables.header().files; i++) {
    const char* path = tables.at + tables.files()[i].path;
    FileStatus status;
    descriptor[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor[i] < 0) return {path, nullptr, errno};
    if (look(descriptor[i], "", Follow::kYes, &status) != 0 || identity(status) != tables.files()[i].identity)
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
Doubt enter(char* path, const Expected& expected, const Launch& launch) {
  int descriptor[kMaxFiles] = {};
  Tables tables;
  const int image = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (image < 0) return {path, nullptr, errno};
  if (const char* problem = read_tables(image, expected, tables)) return {path, problem};
  if (const char* problem = judge_owner(image, path)) return {path, problem};
  if (Doubt doubt = ask(tables, launch)) return doubt;
  if (Doubt doubt = open_files(tables, descriptor)) return doubt;
  if (Doubt doubt = map_segments(tables, path, image, descriptor)) return doubt;
  const Header header = tables.header();
  for (uint32_t i = 0; i < header.files; i++) close(descriptor[i]);
  close(image);
  if (tables.mapped != 0) munmap(const_cast<char*>(tables.at), tables.mapped);
  if (!set_thread_pointer(header.thread_pointer)) return {path, "the thread pointer cannot be set", errno};
  call_on_stack(launch.stack, static_cast<uintptr_t>(header.entry), &launch);
}

}  // namespace moonlet::image
