#include "image/segments.h"

#include "base/kernel.h"
#include "base/memory.h"
#include "image/answer.h"
#if defined(MOONLET_LAYERS)
#include "image/comparison.h"
#endif
#include "image/held_mutexes.h"
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
      : work_(work),
        content_(content),
        frozen_(frozen),
        page_(page),
        is_trusted_((content.flags & kTrusted) != 0) {
    const auto workspace = reinterpret_cast<uintptr_t>(&work);
    left_out_[0] = {workspace, end_of(workspace, sizeof(Workspace))};
    left_out_[1] = content.log;
    left_out_[2] = content.stack;
#if defined(MOONLET_LAYERS)
    left_out_[3] = {};
    base_ = content.base;
    if (base_.at == nullptr) return;
    const auto tables = reinterpret_cast<uintptr_t>(base_.at);
    left_out_[3] = {tables, end_of(tables, base_.header().tables_size)};
#endif
  }

  void run() {
    find_program();
    if (!read_maps()) return;
    close_gaps();
#if defined(MOONLET_LAYERS)
    // Before any page is compared all is done that changes some.
    look_at_held_mutexes(thread_id());
    for_each_part(Pass::kNote);
    for_each_part(Pass::kTake);
    carry_borders_over();
    add_images_below();
#else
    for_each_part(Pass::kTake);
#endif
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

  [[nodiscard]] uintptr_t end_of(uintptr_t from, size_t size) const {
    return from + ((size + page_ - 1) & ~(page_ - 1));
  }

  enum class Pass : bool { kNote, kTake };

  void for_each_part(Pass pass) {
    if (frozen_.has_failed() || !read_maps()) return;
#if defined(MOONLET_PAGE_MONITOR)
    if (read_mappings("/proc/self/smaps", work_.smaps, kMapsText) < 0) work_.smaps[0] = '\0';
#endif
    Mapping mapping;
    for (char* line = work_.maps; (line = next_mapping(line, mapping)) != nullptr && !frozen_.has_failed();)
      cut(mapping, 0, pass);
  }

  // Notes or takes what of `it` lies in none of the ranges from left_out_[next] on.
  void cut(const Mapping& it, int next, Pass pass) {
    if (it.from >= it.to) return;
#if defined(MOONLET_LAYERS)
    if (next == kLeftOut && pass == Pass::kNote) return note(it);
#endif
    if (next == kLeftOut) return take(it);
    const Range& out = left_out_[next];
    Mapping part = it;
    part.to = it.to < out.from ? it.to : out.from;
    cut(part, next + 1, pass);
    part = it;
    part.from = it.from > out.to ? it.from : out.to;
    part.offset += part.from - it.from;
    cut(part, next + 1, pass);
  }

  // What lies outside of the window is moonlet's, the kernel's, or cannot be frozen.
  void take_outside(const Mapping& it) {
    const bool follows_program = it.inode == 0 && it.from == end_of_program_;  // its zeroed data
    if (is_of_process(it) || follows_program) {
      if (strcmp(it.path, program_) == 0) end_of_program_ = it.to;
      return;
    }
    frozen_.fail("memory at %#zx, where no image can lie", static_cast<size_t>(it.from));
  }

  void take(const Mapping& it) {
    if (frozen_.has_failed()) return;
    if (!is_in_window(it.from, it.to)) return take_outside(it);
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
      take_parts(it, protection);
    } else if (it.protection == 0) {  // the gap between two segments of a library may lie behind its file's end
      const int index = find_file(it);
      if (index >= 0) add_of_file(it, it.from, it.to, static_cast<int16_t>(index), protection);
    } else if (is_of_image_below(it)) {
      take_of_image_below(it, protection);
    } else if ((it.protection & kWrite) != 0) {
      add(it.from, it.to, kOfImage, protection);
    } else {
      take_of_file(it, protection);
    }
  }

  // The data of a heap, without many zeroes before and behind them. Empty if there are none.
  [[nodiscard]] Range find_data(const Mapping& it) const {
    Range data = {it.from, it.to};
    while (data.from < data.to && is_zero(data.from, page_)) data.from += page_;
    while (data.from < data.to && is_zero(data.to - page_, page_)) data.to -= page_;
    if (data.from == data.to) return data;
    if (data.from - it.from < kZeroesApart) data.from = it.from;
    if (it.to - data.to < kZeroesApart) data.to = it.to;
    return data;
  }

  void take_anonymous(const Mapping& it, uint8_t protection) {
    // What nobody may read now may hold data all the same.
    if ((it.protection & kRead) == 0 &&
        mprotect(reinterpret_cast<void*>(it.from), it.to - it.from, PROT_READ) != 0)
      return frozen_.fail("memory at %#zx cannot be read: %s", static_cast<size_t>(it.from), strerror(errno));
    const auto [first, last] = find_data(it);
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
      add_growable(at);
    }
  }

  void add_growable(uintptr_t at) {
    if (work_.growables == kMaxSegments)
      return frozen_.fail("more than %u large blocks of memory", kMaxSegments);
    work_.growable[work_.growables++] = at;
  }

#if defined(MOONLET_LAYERS)

  // What a launch has to know of memory, and this program's data will tell it.
  void note(const Mapping& it) {
    if (!is_in_window(it.from, it.to)) return;
    if ((it.protection & kWrite) == 0) {
      is_mended(it.from, it.to);
      return;
    }
    if (it.is_shared) return;
    if (base_.at == nullptr || it.inode == 0) {
      find_held_mutexes(it.from, it.to, thread_id());
    } else {
      find_held_mutexes_where_touched(it);
    }
    const MemoryFlags flags = find_flags(work_.smaps, it.from);
    if (it.inode != 0 || flags.wiped_on_fork || flags.droppable) return;
    const Range data = find_data(it);
    if (data.from < data.to) note_heap(data.from, data.to);
  }

  // The others are as they are below, and known.
  void find_held_mutexes_where_touched(const Mapping& it) const {
    TouchedPages touched(page_);
    for (uintptr_t at = it.from; at < it.to;) {
      uintptr_t to = at;
      while (to < it.to && touched.has(to)) to += page_;
      find_held_mutexes(at, to, thread_id());
      at = to + page_;
    }
  }

  [[nodiscard]] bool is_of_image_below(const Mapping& it) {
    if (base_.at == nullptr) return false;
    const int index = find_file(it);
    return index >= 0 && work_.file[index].sample == kOfImageBelow;
  }

  // The segment of an image below that has `address`, or the next one above it. Null: there is none.
  [[nodiscard]] const Segment* find_below(uintptr_t address) const {
    for (uint32_t i = 0; base_.at != nullptr && i < base_.header().segments; i++) {
      const Segment& it = base_.segments()[i];
      const bool is_of_image =
          it.file == kOfImage || (it.file >= 0 && base_.is_image(static_cast<uint32_t>(it.file)));
      if (is_of_image && (it.protection & kWrite) != 0 && address < it.address + it.size) return &it;
    }
    return nullptr;
  }

  // Memory of no file that is in the place of an image's below (image/resume.cc) may be as it is there.
  void take_parts(const Mapping& it, uint8_t protection) {
    Mapping part = it;
    while (part.from < it.to && !frozen_.has_failed()) {
      const Segment* const below = find_below(part.from);
      const bool is_within = below != nullptr && below->address <= part.from;
      part.to = below == nullptr ? it.to : is_within ? below->address + below->size : below->address;
      if (part.to > it.to) part.to = it.to;
      if (is_within) {
        part.offset = below->offset + (part.from - below->address);
        take_in_place(part, *below, protection);
      } else {
        take_anonymous(part, protection);
      }
      part.from = part.to;
    }
  }

  void take_in_place(const Mapping& it, const Segment& below, uint8_t protection) {
    const char* const path =
        below.file == kOfImage ? content_.base_path : base_.path(static_cast<uint32_t>(below.file));
    add_image_below(path, below.file == kOfImage ? -1 : below.file);
    if (frozen_.has_failed()) return;
    Mapping its = it;
    its.path = path;
    take_of_image_below(its, protection);
    if ((it.protection & kWrite) != 0) find_growable(it.from, it.to);
  }

  // What is not as it is there becomes the image's own.
  void take_of_image_below(const Mapping& it, uint8_t protection) {
    const auto index = static_cast<int16_t>(find_file(it));
    if (it.protection == 0) return add_of_file(it, it.from, it.to, index, protection);
    restore_unused(it, work_.file[index].fd);
    const uint32_t runs =
        Comparison(work_, base_, page_, frozen_).compare(it, work_.file[index].fd, protection);
    for (const Run* run = work_.run; run < work_.run + runs; run++)
      add_of_file(it, run->from, run->to, run->is_own ? kOfImage : index, protection);
  }

  // What nobody uses can as well be as it is there.
  void restore_unused(const Mapping& it, int fd) {
    if ((it.protection & kWrite) == 0) return;
    for (size_t i = 0; i < content_.unused_count; i++) {
      const Range& unused = content_.unused[i];
      if (unused.from < it.from || unused.to > it.to) continue;
      const auto offset = static_cast<off_t>(it.offset + (unused.from - it.from));
      if (pread(fd, reinterpret_cast<void*>(unused.from), unused.to - unused.from, offset) < 0)
        return frozen_.fail("read %s: %s", it.path, strerror(errno));
    }
  }

  [[nodiscard]] bool is_mapped(uintptr_t address) const {
    for (uint32_t i = 0; i < work_.segments; i++) {
      if (address - work_.segment[i].address < work_.segment[i].size) return true;
    }
    return false;
  }

  [[nodiscard]] bool is_base(int fd) const {
    Header header;
    return pread(fd, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
           memcmp(&header, &base_.header(), sizeof header) == 0;
  }

  // `index`: of it in the tables of the image below; negative: it is that image itself.
  void add_image_below(const char* path, int index) {
    for (uint32_t i = 0; i < work_.files; i++) {
      if (strcmp(work_.file[i].path, path) == 0) return;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FileStatus status;
    const bool is_it = fd >= 0 && look(fd, "", Follow::kYes, &status) == 0 &&
                       (index < 0 ? is_base(fd) : is_as_frozen(base_, static_cast<uint32_t>(index), fd));
    if (fd >= 0) close(fd);
    if (!is_it) return frozen_.fail("%s is another file by now", path);
    Mapping whole = {};
    whole.path = path;
    whole.inode = static_cast<unsigned long>(status.inode);
    find_file(whole);
  }

  // Those too that no page is mapped from: where one of them is another file this image is outdated, as the one
  // is that it lies on.
  void add_images_below() {
    if (base_.at == nullptr) return;
    for (uint32_t i = 0; i < base_.header().files && !frozen_.has_failed(); i++) {
      if (base_.is_image(i)) add_image_below(base_.path(i), static_cast<int>(i));
    }
    if (!frozen_.has_failed()) add_image_below(content_.base_path, -1);
  }

  void carry_borders_over() {
    for (uint32_t i = 0; base_.at != nullptr && i < base_.header().segments; i++) {
      const Segment& it = base_.segments()[i];
      if (it.file == kBorder && is_mapped(it.address)) add_growable(it.address);
    }
  }

#else

  void take_parts(const Mapping& it, uint8_t protection) { take_anonymous(it, protection); }
  [[nodiscard]] static bool is_of_image_below(const Mapping&) { return false; }
  void take_of_image_below(const Mapping&, uint8_t) {}

#endif

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
    const bool is_image = has_magic(file.fd);
    file.sample = is_trusted_ && !is_image ? find_sample(file.fd) : 0;
    file.identity = is_trusted_ ? build_identity(file.fd, status, file.sample) : identity(status);
    if (is_image) file.sample = kOfImageBelow;
    if (file.identity == kNever) {
      frozen_.fail("read %s: %s", it.path, strerror(errno));
      return -1;
    }
    file.path = it.path;
    return static_cast<int>(work_.files++);
  }

  [[nodiscard]] bool has_magic([[maybe_unused]] int fd) const {
#if defined(MOONLET_LAYERS)
    char magic[sizeof kMagic];
    return base_.at != nullptr && pread(fd, magic, sizeof magic, 0) == static_cast<ssize_t>(sizeof magic) &&
           memcmp(magic, kMagic, sizeof magic) == 0;
#else
    return false;
#endif
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
  [[maybe_unused]] const Content& content_;
  Frozen& frozen_;
  size_t page_;  // bytes
  bool is_trusted_;
#if defined(MOONLET_LAYERS)
  static constexpr int kLeftOut = 4;
  Tables base_;
#else
  static constexpr int kLeftOut = 3;
#endif
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

void find_segments(Workspace& work, const Content& content, size_t page, Frozen& frozen) {
  Finder(work, content, page, frozen).run();
}

}  // namespace moonlet::image
