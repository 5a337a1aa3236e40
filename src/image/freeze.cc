#include "image/freeze.h"

#include "image/comparison.h"
#include "image/format.h"
#include "image/held_mutexes.h"
#include "image/image_file.h"
#include "image/layout.h"
#include "image/libc_state.h"
#include "image/mappings.h"
#include "image/memory_calls.h"
#include "image/window.h"
#include "image/workspace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr size_t kZeroesApart = 4 << 20;  // bytes: fewer zeroes are not worth a mapping of their own, of 3 us
constexpr size_t kSmallGap = 1 << 20;  // bytes between two mappings: one over both is worth more than the gap

class Freezer {
 public:
  explicit Freezer(Workspace& work)
      : work_(work),
        content_(*work.content),
        page_(work.page_size),
        layout_(work),
        comparison_(work, layout_) {}

  // Before any page is compared all is done that changes some.
  void run() {
    prepare_libc_state(content_.questions, content_.questions_size);
    find_program();
    if (!read_maps()) return;
    close_gaps();
    for_each_part(&Freezer::note);
    if (!work_.failed()) for_each_part(&Freezer::take);
    work_.frozen->segments = work_.segments;
    if (!work_.failed()) layout_.add_what_is_no_mapping();
  }

 private:
  bool read_maps() {
    if (read_mappings("/proc/self/maps", work_.maps, Workspace::kMapsText) >= 0) return true;
    work_.fail("read /proc/self/maps: %s", strerror(errno));
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

  // Of each mapping, what is not left out as no part of what is frozen.
  void for_each_part(void (Freezer::*function)(const Mapping&)) {
    const auto workspace = reinterpret_cast<uintptr_t>(&work_);
    const auto tables = reinterpret_cast<uintptr_t>(content_.base.at);
    const uint64_t tables_size = tables != 0 ? content_.base.header().tables_size : 0;
    const Range left_out[] = {{workspace, end_of(workspace, sizeof(Workspace))},
                              {tables, end_of(tables, tables_size)},
                              content_.stack,
                              content_.log};
    if (!read_maps()) return;
    if (read_mappings("/proc/self/smaps", work_.smaps, Workspace::kMapsText) < 0) work_.smaps[0] = '\0';
    Mapping mapping;
    for (char* line = work_.maps; (line = next_mapping(line, mapping)) != nullptr && !work_.failed();)
      split(mapping, left_out, sizeof left_out / sizeof *left_out, function);
  }

  void split(const Mapping& it, const Range* left_out, size_t count,
             void (Freezer::*function)(const Mapping&)) {
    if (count == 0) return (this->*function)(it);
    const auto [from, to] = *left_out;
    Mapping part = it;
    part.to = it.to < from ? it.to : from;
    if (part.from < part.to) split(part, left_out + 1, count - 1, function);
    part = it;
    part.from = it.from > to ? it.from : to;
    part.offset += part.from - it.from;
    if (part.from < part.to) split(part, left_out + 1, count - 1, function);
  }

  [[nodiscard]] uintptr_t end_of(uintptr_t from, uint64_t size) const {
    return from + static_cast<uintptr_t>(work_.round_up(size));
  }

  // What a launch has to know of memory, and this program's data will tell it.
  void note(const Mapping& it) {
    if (work_.failed() || !is_in_window(it.from, it.to)) return;
    if ((it.protection & kWrite) == 0) {
      is_mended(it.from, it.to);
    } else if (!it.is_shared) {
      find_held_mutexes(it.from, it.to, thread_id());
      const Range data = find_data(it);
      const MemoryFlags flags = find_flags(work_.smaps, it.from);
      if (it.inode == 0 && data.from < data.to && !flags.wiped_on_fork && !flags.droppable)
        note_heap(data.from, data.to);
    }
  }

  void take(const Mapping& it) {
    if (work_.failed()) return;
    if (!is_in_window(it.from, it.to)) return take_outside(it);
    if (it.is_shared && (it.protection & kWrite) != 0)
      return work_.fail("shared memory at %#zx%s%s", static_cast<size_t>(it.from), *it.path != '\0' ? ": " : "",
                        it.path);
    const MemoryFlags flags = find_flags(work_.smaps, it.from);
    if (flags.unfit != nullptr)
      return work_.fail("memory at %#zx %s", static_cast<size_t>(it.from), flags.unfit);
    if (flags.wiped_on_fork || flags.droppable)
      return layout_.add_empty(it, flags.droppable ? Nature::kDroppable : Nature::kWipedOnFork);
    uint8_t protection = it.protection;
    if ((it.protection & kWrite) == 0 && is_mended(it.from, it.to)) protection |= kWrite;
    if (it.inode == 0) {
      take_anonymous(it, protection);
    } else {
      take_of_file(it, protection);
    }
  }

  [[nodiscard]] bool is_of_process(const Mapping& it) const {
#if defined(__mips__)  // where the kernel emulates floating-point instructions, in each process
    if (it.inode == 0 && it.protection == (kRead | kExecute)) return true;
#endif
    return it.path[0] == '[' || strcmp(it.path, program_) == 0 || (it.protection == 0 && it.inode == 0);
  }

  // It is moonlet's, the kernel's, or cannot be frozen.
  void take_outside(const Mapping& it) {
    const bool follows_program = it.inode == 0 && it.from == end_of_program_;  // its zeroed data
    if (is_of_process(it) || follows_program) {
      if (strcmp(it.path, program_) == 0) end_of_program_ = it.to;
      return;
    }
    work_.fail("memory at %#zx, where no image can lie", static_cast<size_t>(it.from));
  }

  // The data of a heap, without many zeroes before and behind them. Empty if there are none.
  [[nodiscard]] Range find_data(const Mapping& it) const {
    Range data = {it.from, it.to};
    while (data.from < data.to && work_.is_zero(data.from)) data.from += page_;
    while (data.from < data.to && work_.is_zero(data.to - page_)) data.to -= page_;
    if (data.from == data.to) return data;
    if (data.from - it.from < kZeroesApart) data.from = it.from;
    if (it.to - data.to < kZeroesApart) data.to = it.to;
    return data;
  }

  void take_anonymous(const Mapping& it, uint8_t protection) {
    // What nobody may read now may hold data all the same.
    if ((it.protection & kRead) == 0 &&
        mprotect(reinterpret_cast<void*>(it.from), it.to - it.from, PROT_READ) != 0)
      return work_.fail("memory at %#zx cannot be read: %s", static_cast<size_t>(it.from), strerror(errno));
    const auto [first, last] = find_data(it);
    layout_.add(it.from, first, kOfNothing, protection);
    layout_.add(first, last, kOfImage, protection);
    layout_.add(last, it.to, kOfNothing, protection);
    if ((it.protection & kWrite) != 0) find_growable(first, last);
  }

  // Blocks that an allocator has mapped by themselves it may let grow in place, by mremap(2). The file's next
  // pages would come with that. A border between the first page and the rest makes the kernel refuse (EFAULT),
  // and the block is copied.
  void find_growable(uintptr_t from, uintptr_t to) {
    for (uintptr_t at = from; at < to && !work_.failed(); at += page_) {
      const uintptr_t size = size_of_growable(reinterpret_cast<const uintptr_t*>(at));
      if (size >= 2 * page_ && size % page_ == 0 && size <= to - at) layout_.add_growable(at);
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
    unsigned char in_core;
    void* const page = reinterpret_cast<void*>(word[0] & ~(page_ - 1));
    if (is_in_window(word[0], word[0] + 1) && word[0] % sizeof *word == 0 && mincore(page, 1, &in_core) == 0 &&
        reinterpret_cast<const uintptr_t*>(word[0])[2] == reinterpret_cast<uintptr_t>(word))
      return 2 * page_;
#endif
    return 0;
  }

  void take_of_file(const Mapping& it, uint8_t protection) {
    const int16_t file = layout_.find_file(it);
    if (file < 0) return;
    const bool may_be_written = (it.protection & kWrite) != 0;
    if (it.protection == 0) {  // the gap between two segments of a library may lie behind its file's end
      layout_.add_part(it, it.from, it.to, file, protection);
    } else if (may_be_written && !work_.file[file].is_image) {  // a library's data
      layout_.add(it.from, it.to, kOfImage, protection);
    } else {  // constants, of which some were written before they became that (relro), or an image below
      comparison_.take(it, file, protection);
    }
  }

  Workspace& work_;
  const Content& content_;
  const size_t page_;  // bytes
  Layout layout_;
  Comparison comparison_;
  uintptr_t end_of_program_ = 0;
  char program_[512] = "";
};

}  // namespace

Range unkept_stack(uintptr_t block) {
  constexpr uintptr_t kRoom = 256 << 10;  // bytes
  const uintptr_t end = block & ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
  return {end - kStackSize, end - kRoom};
}

void freeze(int fd, const Content& content, Frozen& frozen) {
  Workspace* const work = Workspace::create(content, frozen);
  if (work == nullptr) {
    snprintf(frozen.problem, sizeof frozen.problem, "map memory: %s", strerror(errno));
    return;
  }
  Freezer(*work).run();
  if (!work->failed()) write_image_file(*work, fd);
}

}  // namespace moonlet::image
