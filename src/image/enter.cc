#include "image/enter.h"

#include "base/kernel.h"
#include "base/layout.h"
#include "image/answer.h"
#include "image/ask.h"
#include "image/format.h"
#include "image/machine.h"
#include "image/owner.h"
#include "image/tables.h"

#include <errno.h>
#include <fcntl.h>
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
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (reinterpret_cast<uintptr_t>(at) >= static_cast<uintptr_t>(-4096)) return "cannot be read";
    tables.at = static_cast<char*>(at);
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

// Opens each file that segments come from, at descriptor[i]: it is the very file that is then mapped.
// `image`: the path of this one, or null.
Doubt open_files(const Tables& tables, const char* image, int* descriptor) {
  for (uint32_t i = 0; i < tables.header().files; i++) {
    char* const path = tables.path(i);
    const MappedFile& it = tables.files()[i];
    FileStatus status;
    descriptor[i] = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor[i] < 0) return {path, nullptr, errno};
    if (look(descriptor[i], "", Follow::kYes, &status) != 0 || identity(status) != it.identity)
      return {path, "has changed"};
    if (it.is_image == 0) continue;
    if (const char* problem = judge_owner(descriptor[i], path, image)) return {path, problem};
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

void apply_patches(const Tables& tables) {
  const uint64_t* word = tables.patches();
  const uint64_t* const end = word + tables.header().patches;
  while (word < end) {
    auto* to = reinterpret_cast<uint64_t*>(static_cast<uintptr_t>(address_of_patch(*word)));
    for (uint32_t left = words_of_patch(*word++); left > 0; left--) *to++ = *word++;
  }
}

}  // namespace

// What is open or mapped when there is a doubt goes with the exec of lua.
Doubt map(char* path, int given, const Expected& expected, const Launch& launch, Mapped& mapped) {
  int descriptor[kMaxFiles] = {};
  Loaded tables;
  char* const name = given >= 0 ? nullptr : path;
  const int image = given >= 0 ? given : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (image < 0) return {path, nullptr, errno};
  Header header;
  if (const char* problem = read_header(image, expected, header)) return {path, problem};
  const bool is_small = header.tables_size <= kSmall;
  auto* const room = is_small ? static_cast<char*>(__builtin_alloca(header.tables_size)) : nullptr;
  if (const char* problem = read_tables(image, header, room, tables)) return {path, problem};
  if (const char* problem = judge_owner(image, name, nullptr)) return {path, problem};
  if (Doubt doubt = ask(tables, launch)) return doubt;
  if (Doubt doubt = open_files(tables, name, descriptor)) return doubt;
  if (Doubt doubt = map_segments(tables, path, image, descriptor)) return doubt;
  apply_patches(tables);
  for (uint32_t i = 0; i < header.files; i++) close(descriptor[i]);
  mapped = {image, static_cast<size_t>(header.tables_size), header.entry, header.thread_pointer, tables.end()};
  if (tables.mapped != 0) munmap(tables.at, tables.mapped);
  return {};
}

bool jump(const Mapped& mapped, const Launch& launch) {
  if (!set_thread_pointer(mapped.thread_pointer)) return false;
  call_on_stack(launch.stack, static_cast<uintptr_t>(mapped.entry), &launch);
}

Doubt enter(char* path, int given, const Expected& expected, const Launch& launch) {
  Mapped mapped;
  if (Doubt doubt = map(path, given, expected, launch, mapped)) return doubt;
  close(mapped.image);
  jump(mapped, launch);
  return {path, "the thread pointer cannot be set", errno};
}

}  // namespace moonlet::image
