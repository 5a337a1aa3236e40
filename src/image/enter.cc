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
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

#if defined(MOONLET_WARM)
constexpr bool kTriesOthers = true;
#else
constexpr bool kTriesOthers = false;  // what is open or mapped when there is a doubt goes with the exec of lua
#endif

// Tables in memory: read, or mapped.
struct Loaded : Tables {
  size_t mapped = 0;  // bytes; 0: they were read

  Loaded() = default;
  Loaded(const Loaded&) = delete;
  Loaded& operator=(const Loaded&) = delete;
  ~Loaded() {
    if constexpr (kTriesOthers) unmap();
  }
  void unmap() {
    if (mapped != 0) munmap(const_cast<char*>(at), mapped);
    mapped = 0;
  }
};

// The image, and the files that segments come from: open until all is mapped.
struct OpenFiles {
  int image;
  bool is_given;
  int descriptor[kMaxFiles];
  uint32_t count = 0;

  OpenFiles(int image_, bool is_given_) : image(image_), is_given(is_given_) {}
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles() {
    if constexpr (kTriesOthers) {
      if (!is_given && image >= 0) {
        close_files();
        close(image);
      }
    }
  }
  void close_files() {
    while (count > 0) close(descriptor[--count]);
  }
};

// A path for a Doubt, which outlives the tables.
const char* keep(const char* path) {
  MOONLET_LARGE static char kept[512];
  size_t i = 0;
  for (; i + 1 < sizeof kept && path[i] != '\0'; i++) kept[i] = path[i];
  kept[i] = '\0';
  return kept;
}

// Tables that are small are read, which costs less than to map them: onto the stack, whose pages the script
// needs too. At an offset, because a descriptor's own is shared by all who have it from moonletd.
constexpr size_t kSmall = 16 << 10;  // bytes

// Says what is wrong with the tables of the image `fd`, or null. They go to `room` or, if that is null, are
// mapped.
const char* read_tables(int fd, const Header& header, char* room, Loaded& tables) {
  const size_t size = header.tables_size;
  if (room != nullptr) {
    const size_t rest = size - sizeof header;
    memcpy(room, &header, sizeof header);
    if (pread(fd, room + sizeof header, rest, sizeof header) != static_cast<ssize_t>(rest))
      return "cannot be read";
    tables.at = room;
  } else {
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
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
#if defined(MOONLET_QUESTIONS)
  const Difference difference =
      first_that_differs(tables.at + header.questions, header.questions_size, launch.envp,
                         (header.flags & kTrusted) != 0 ? Which::kNoFiles : Which::kAll);
  if (difference.question == nullptr) return {};
  MOONLET_LARGE static char words[512];
  describe(difference, words, sizeof words);
  return {nullptr, words};
#else
  return header.questions_size == 0 ? Doubt{}
                                    : Doubt{nullptr, "the image has questions, which this moonlet cannot ask"};
#endif
}

#if defined(MOONLET_LAYERS)

// Whether both lie in one directory, by their names.
bool are_beside(const char* one, const char* other) {
  size_t length = 0;
  for (size_t i = 0; one[i] == other[i] && one[i] != '\0'; i++) {
    if (one[i] == '/') length = i + 1;
  }
  return length > 0 && strchr(one + length, '/') == nullptr && strchr(other + length, '/') == nullptr;
}

// Whose is an image below, the open file `fd`? `above`: the path of the one that lies on it, which has been
// judged, or null: for the directories of that somebody else answers.
const char* judge_below(int fd, const char* path, const char* above) {
  return judge_owner(fd, above != nullptr && are_beside(path, above) ? nullptr : const_cast<char*>(path));
}

#endif

// Opens each file that segments come from: it is the very file that is then mapped.
Doubt open_files(const Tables& tables, [[maybe_unused]] const char* image, OpenFiles& open) {
  for (uint32_t i = 0; i < tables.header().files; i++) {
    const char* path = tables.path(i);
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return {keep(path), nullptr, errno};
    open.descriptor[open.count++] = fd;
    if (!is_as_frozen(tables, i, fd)) return {keep(path), "has changed"};
#if defined(MOONLET_LAYERS)
    if (!tables.is_image(i)) continue;
    if (const char* problem = judge_below(fd, path, image)) return {keep(path), problem};
#endif
  }
  return {};
}

// Sets the time of access. Where that cannot be, nobody knows of the use: no reason against it.
void note_use(int image) {
  const long times[] = {0, UTIME_NOW, 0, UTIME_OMIT};  // two of the kernel's struct timespec
  syscall(SYS_utimensat, image, nullptr, times, 0);
}

bool map_segment(const Segment& it, int fd) {
  auto* const address = reinterpret_cast<void*>(it.address);
  const size_t size = it.size;
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

Doubt map_segments(const Tables& tables, const char* path, const OpenFiles& open) {
  for (uint32_t i = 0; i < tables.header().segments; i++) {
    const Segment& it = tables.segments()[i];
    const int fd = it.file >= 0 ? open.descriptor[it.file] : it.file == kOfImage ? open.image : -1;
    if (!map_segment(it, fd)) return {path, "cannot be mapped where it belongs", errno};
  }
  return {};
}

}  // namespace

#if defined(MOONLET_LAYERS)
void apply_patches(const Tables& tables) {
  const uint64_t* word = tables.patches();
  const uint64_t* const end = word + tables.header().patches;
  while (word < end) {
    auto* to = reinterpret_cast<uint64_t*>(address_of_patch(*word));
    for (uint32_t left = words_of_patch(*word++); left > 0; left--) *to++ = *word++;
  }
}
#endif

Doubt map(char* path, int given, Use use, const Expected& expected, const Launch& launch, Mapped& mapped) {
  const int quietly = use == Use::kNoted ? O_NOATIME : 0;
  const int image = given >= 0 ? given : ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | quietly);
  OpenFiles open(image, given >= 0);
  Loaded tables;
  if (image < 0) return {path, nullptr, errno};
  Header header;
  if (const char* problem = read_header(image, expected, header)) return {path, problem};
  const bool is_small = header.tables_size <= kSmall;
  auto* const room = is_small ? static_cast<char*>(__builtin_alloca(header.tables_size)) : nullptr;
  if (const char* problem = read_tables(image, header, room, tables)) return {path, problem};
  char* const name = given >= 0 ? nullptr : path;
  if (const char* problem = judge_owner(image, name)) return {path, problem};
  if (Doubt doubt = ask(tables, launch)) return doubt;
  if (Doubt doubt = open_files(tables, name, open)) return doubt;
  if (Doubt doubt = map_segments(tables, path, open)) return doubt;
#if defined(MOONLET_LAYERS)
  apply_patches(tables);
#endif
  if (use == Use::kNoted) note_use(image);
  open.close_files();
  open.image = -1;
  tables.unmap();
  mapped = {image, header.tables_size, header.entry, header.thread_pointer};
  return {};
}

Doubt jump_into(const Mapped& mapped, const char* path, const Launch& launch) {
  if (!set_thread_pointer(mapped.thread_pointer)) return {path, "the thread pointer cannot be set", errno};
  call_on_stack(launch.stack, mapped.entry, &launch);
}

Doubt enter(char* path, int given, Use use, const Expected& expected, const Launch& launch) {
  Mapped mapped = {};
  if (Doubt doubt = map(path, given, use, expected, launch, mapped)) return doubt;
  close(mapped.image);
  return jump_into(mapped, path, launch);
}

}  // namespace moonlet::image
