#include "image/segments.h"

#include "base/kernel.h"
#include "base/memory.h"
#include "image/answer.h"
#include "image/libc_state.h"
#include "image/mappings.h"
#include "image/memory_calls.h"
#include "image/sample.h"
#include "image/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr size_t kZeroesApart = 4 << 20;  // bytes: fewer zeroes are not worth a mapping of their own, of 3 us
constexpr size_t kSmallGap = 1 << 20;  // bytes between two mappings: one over both is worth more than the gap

class Finder {
 public:
  Finder(Workspace& work, const Content& content, size_t page, Frozen& frozen)
      : work_(work), frozen_(frozen), page_(page), is_trusted_((content.flags & kTrusted) != 0) {
    const auto workspace = reinterpret_cast<uintptr_t>(&work);
    left_out_[0] = {workspace, workspace + ((sizeof(Workspace) + page - 1) & ~(page - 1))};
    left_out_[1] = content.left_out;
    left_out_[2] = {(content.block & ~(page - 1)) - kStackSize, kept_stack(content, page)};
  }

  void run() {
    find_program();
    if (!read_maps()) return;
    close_gaps();
    if (!read_maps()) return;
#if defined(MOONLET_PAGE_MONITOR)
    if (read_mappings("/proc/self/smaps", work_.smaps, kMapsText) < 0) work_.smaps[0] = '\0';
#endif
    Mapping mapping;
    for (char* line = work_.maps; (line = next_mapping(line, mapping)) != nullptr && !frozen_.has_failed();)
      take(mapping);
  }

 private:
  bool read_maps() {
    if (read_mappings("/proc/self/maps", work_.maps, kMapsText) >= 0) return true;
    frozen_.fail("read /proc/self/maps: %s", strerror(errno));
    return false;
  }

  // Maps what is free between two pieces of heap, so that a launch maps both in one call.
  void close_gaps() {
    Mapping mapping;
    uintptr_t last = 0;  // end of such a piece, or 0
    for (char* line = work_.maps; (line = next_mapping(line, mapping)) != nullptr;) {
      const bool is_heap = mapping.inode == 0 && mapping.protection == (kRead | kWrite) && !mapping.is_shared &&
                           is_in_window(mapping.from, mapping.to);
      if (is_heap && last != 0 && mapping.from > last && mapping.from - last <= kSmallGap)
        (void)mmap(reinterpret_cast<void*>(last), mapping.from - last, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      last = is_heap ? mapping.to : 0;
    }
  }

  // /proc/self/exe is moonlet, which has put this program where it is. Its pages stay behind.
  void find_program() {
    const ssize_t length = readlink("/proc/self/exe", program_, sizeof program_ - 1);
    program_[length > 0 ? length : 0] = '\0';
  }

  [[nodiscard]] bool is_of_process(const Mapping& it) const {
#if defined(__mips__)  // where the kernel emulates floating-point instructions, in each process
    if (it.inode == 0 && it.protection == (kRead | kExecute)) return true;
#endif
    return it.path[0] == '[' || strcmp(it.path, program_) == 0 || (it.protection == 0 && it.inode == 0);
  }

  // What lies outside of the window is moonlet's, the kernel's, or cannot be frozen.
  void take(Mapping& it) {
    if (!is_in_window(it.from, it.to)) {
      const bool follows_program = it.inode == 0 && it.from == end_of_program_;  // its zeroed data
      if (is_of_process(it) || follows_program) {
        if (strcmp(it.path, program_) == 0) end_of_program_ = it.to;
        return;
      }
      return frozen_.fail("memory at %#zx, where no image can lie", static_cast<size_t>(it.from));
    }
    cut(it, 0);
  }

  // Takes what of `it` lies in none of the ranges from left_out_[next] on.
  void cut(const Mapping& it, int next) {
    if (it.from >= it.to) return;
    if (next == kLeftOut) return take_whole(it);
    const Range& out = left_out_[next];
    Mapping part = it;
    part.to = it.to < out.from ? it.to : out.from;
    cut(part, next + 1);
    part = it;
    part.from = it.from > out.to ? it.from : out.to;
    part.offset += part.from - it.from;
    cut(part, next + 1);
  }

  void take_whole(const Mapping& it) {
    if (frozen_.has_failed()) return;
    if (it.is_shared && (it.protection & kWrite) != 0)
      return frozen_.fail("shared memory at %#zx%s%s", static_cast<size_t>(it.from),
                          *it.path != '\0' ? ": " : "", it.path);
    const MemoryFlags flags = find_flags(work_.smaps, it.from);
    if (flags.unfit != nullptr)
      return frozen_.fail("memory at %#zx %s", static_cast<size_t>(it.from), flags.unfit);
    if (flags.wiped_on_fork || flags.droppable)
      return add_empty(it, flags.droppable ? Nature::kDroppable : Nature::kWipedOnFork);
    uint8_t protection = it.protection;
    if ((it.protection & kWrite) == 0 && is_mended(it.from, it.to)) protection |= kWrite;
    if (it.inode == 0) {
      take_anonymous(it, protection);
    } else if (it.protection == 0) {  // the gap between two segments of a library may lie behind its file's end
      const int index = find_file(it);
      if (index >= 0) add_of_file(it, it.from, it.to, static_cast<int16_t>(index), protection);
    } else if ((it.protection & kWrite) != 0) {
      add(it.from, it.to, kOfImage, protection);
    } else {
      take_of_file(it, protection);
    }
  }

  // The data of a heap, and the zeroes before and behind them.
  void take_anonymous(const Mapping& it, uint8_t protection) {
    // What nobody may read now may hold data all the same.
    if ((it.protection & kRead) == 0 &&
        mprotect(reinterpret_cast<void*>(it.from), it.to - it.from, PROT_READ) != 0)
      return frozen_.fail("memory at %#zx cannot be read: %s", static_cast<size_t>(it.from), strerror(errno));
    uintptr_t first = it.from;
    uintptr_t last = it.to;
    while (first < last && is_zero(first, page_)) first += page_;
    while (first < last && is_zero(last - page_, page_)) last -= page_;
    if (first - it.from < kZeroesApart && first < last) first = it.from;
    if (it.to - last < kZeroesApart && first < last) last = it.to;
    add(it.from, first, kOfNothing, protection);
    add(first, last, kOfImage, protection);
    add(last, it.to, kOfNothing, protection);
    if (first == last || (it.protection & kWrite) == 0) return;
    note_heap(first, last);
    find_growable(first, last);
  }

  // Blocks that an allocator has mapped by themselves it may let grow in place, by mremap(2). The file's next
  // pages would come with that. A border between the first page and the rest makes the kernel refuse (EFAULT),
  // and the block is copied.
  void find_growable(uintptr_t from, uintptr_t to) {
    for (uintptr_t at = from; at < to && !frozen_.has_failed(); at += page_) {
      const uintptr_t size = size_of_growable(reinterpret_cast<const uintptr_t*>(at));
      if (size < 2 * page_ || size % page_ != 0 || size > to - at) continue;
      if (work_.growables == kMaxSegments)
        return frozen_.fail("more than %u large blocks of memory", kMaxSegments);
      work_.growable[work_.growables++] = at;
    }
  }

  // Bytes of the block that may begin at `word`, or 0.
  [[nodiscard]] uintptr_t size_of_growable(const uintptr_t* word) const {
    constexpr uintptr_t kFlags = 7;
    constexpr uintptr_t kMapped = 2;                    // glibc: IS_MMAPPED; LuaJIT: CINUSE_BIT
    constexpr uintptr_t kFoot = 4 * sizeof(uintptr_t);  // LuaJIT: DIRECT_FOOT_PAD
    if (word[0] == 0 && (word[1] & kFlags) == kMapped) return word[1] & ~kFlags;
    if (word[0] == 1 && (word[1] & kFlags) == kMapped) return (word[1] & ~kFlags) + kFoot;
#if !defined(__GLIBC__)
    // musl: the first word leads to a description, whose third word leads back.
    if (is_in_window(word[0], word[0] + 1) && word[0] % sizeof *word == 0 &&
        kernel::is_readable(reinterpret_cast<const void*>(word[0])) &&
        reinterpret_cast<const uintptr_t*>(word[0])[2] == reinterpret_cast<uintptr_t>(word))
      return 2 * page_;
#endif
    return 0;
  }

  // Pages that were written to before they became read-only (relro) are the image's, the others their file's.
  void take_of_file(const Mapping& it, uint8_t protection) {
    const int index = find_file(it);
    if (index < 0) return;
    uintptr_t start = it.from;
    bool is_written = false;
    ssize_t got = 0;
    for (uintptr_t at = it.from; at < it.to; at += page_) {
      const size_t in_chunk = (at - it.from) % kChunk;
      if (in_chunk == 0) {
        got = pread(work_.file[index].fd, work_.chunk, kChunk, static_cast<off_t>(it.offset + (at - it.from)));
        if (got < 0) return frozen_.fail("read %s: %s", it.path, strerror(errno));
        memset(work_.chunk + got, 0, kChunk - static_cast<size_t>(got));
      }
      // Loaders map more than there is in the file, which nobody can look at (SIGBUS).
      const bool differs = in_chunk < static_cast<size_t>(got) &&
                           memcmp(work_.chunk + in_chunk, reinterpret_cast<const void*>(at), page_) != 0;
      if (differs == is_written) continue;
      add_of_file(it, start, at, is_written ? kOfImage : static_cast<int16_t>(index), protection);
      start = at;
      is_written = differs;
    }
    add_of_file(it, start, it.to, is_written ? kOfImage : static_cast<int16_t>(index), protection);
  }

  void add_empty(const Mapping& it, Nature nature) {
    add(it.from, it.to, kOfNothing, it.protection);
    if (!frozen_.has_failed()) work_.segment[work_.segments - 1].nature = nature;
  }

  void add_of_file(const Mapping& it, uintptr_t from, uintptr_t to, int16_t file, uint8_t protection) {
    add(from, to, file, protection, file >= 0 ? it.offset + (from - it.from) : 0);
  }

  int find_file(const Mapping& it) {
    for (int i = 0; i < static_cast<int>(work_.files); i++) {
      if (strcmp(work_.file[i].path, it.path) == 0) return i;
    }
    if (work_.files == kMaxFiles) {
      frozen_.fail("more than %u files are mapped", kMaxFiles);
      return -1;
    }
    OpenFile& file = work_.file[work_.files];
    FileStatus status;
    file.fd = open(it.path, O_RDONLY | O_CLOEXEC);
    if (file.fd < 0 || look(file.fd, "", Follow::kYes, &status) != 0 || status.inode != it.inode) {
      frozen_.fail("%s is mapped, but it is another file by now", it.path);
      return -1;
    }
    file.sample = is_trusted_ ? find_sample(file.fd) : 0;
    file.identity = is_trusted_ ? build_identity(file.fd, status, file.sample) : identity(status);
    if (file.identity == kNever) {
      frozen_.fail("read %s: %s", it.path, strerror(errno));
      return -1;
    }
    file.path = it.path;
    return static_cast<int>(work_.files++);
  }

  void add(uintptr_t from, uintptr_t to, int16_t file, uint8_t protection, uintptr_t offset = 0) {
    if (from >= to || frozen_.has_failed()) return;
    if (work_.segments > 0) {
      Segment& last = work_.segment[work_.segments - 1];
      // What a library keeps beside its code, to read, is mapped with the code: a mapping less costs 3 us less.
      const bool fits =
          last.protection == protection || (file >= 0 && ((last.protection | protection) & kWrite) == 0);
      if (last.address + last.size == from && last.file == file && fits && last.nature == Nature::kUsual &&
          (file < 0 || last.offset + last.size == offset)) {
        last.size += to - from;
        last.protection |= protection;
        return;
      }
    }
    if (work_.segments == kMaxSegments) return frozen_.fail("more than %u mappings", kMaxSegments);
    work_.segment[work_.segments++] = {from, to - from, offset, file, protection, Nature::kUsual};
  }

  Workspace& work_;
  Frozen& frozen_;
  size_t page_;  // bytes
  bool is_trusted_;
  static constexpr int kLeftOut = 3;
  Range left_out_[kLeftOut];
  uintptr_t end_of_program_ = 0;
  char program_[512] = "";
};

}  // namespace

bool is_zero(uintptr_t page, size_t size) {
  const auto* word = reinterpret_cast<const uintptr_t*>(page);
  for (const auto* end = word + size / sizeof *word; word < end; word++) {
    if (*word != 0) return false;
  }
  return true;
}

uintptr_t kept_stack(const Content& content, size_t page) {
  constexpr uintptr_t kRoom = 256 << 10;  // bytes
  return (content.block & ~(page - 1)) - kRoom;
}

void find_segments(Workspace& work, const Content& content, size_t page, Frozen& frozen) {
  Finder(work, content, page, frozen).run();
}

}  // namespace moonlet::image
