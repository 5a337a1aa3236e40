#include "image/freeze.h"

#include "image/answer.h"
#include "image/format.h"
#include "image/held_mutexes.h"
#include "image/libc_state.h"
#include "image/machine.h"
#include "image/mappings.h"
#include "image/memory_calls.h"
#include "image/sample.h"
#include "image/window.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr size_t kMapsText = 1 << 20;     // bytes
constexpr size_t kChunk = 64 << 10;       // bytes of a file that are compared at once
constexpr size_t kZeroesApart = 4 << 20;  // bytes: fewer zeroes are not worth a mapping of their own, of 3 us
constexpr size_t kSmallGap = 1 << 20;  // bytes between two mappings: one over both is worth more than the gap

// All that is needed while the pages are read lies in one mapping, which is no part of what is frozen.
struct Workspace {
  char maps[kMapsText];
  char smaps[kMapsText];  // "" where the kernel has none
  char tables[kMaxTables];
  char chunk[kChunk];
  Segment segment[kMaxSegments];
  uintptr_t growable[kMaxSegments];  // addresses
  struct File {
    uint64_t identity;
    uint32_t sample;
    const char* path;  // in `maps`
    int fd;
  } file[kMaxFiles];
};

class Freezer {
 public:
  Freezer(int fd, const Content& content, Frozen& frozen)
      : fd_(fd), content_(content), frozen_(frozen), page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {}

  void run() {
    void* const memory =
        mmap(nullptr, sizeof(Workspace), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return fail("map memory: %s", strerror(errno));
    work_ = static_cast<Workspace*>(memory);
    prepare_libc_state(content_.questions, content_.questions_size);
    find_program();
    Mapping mapping;
    if (!read_maps()) return;
    close_gaps();
    if (!read_maps()) return;
    if (read_mappings("/proc/self/smaps", work_->smaps, kMapsText) < 0) work_->smaps[0] = '\0';
    for (char* line = work_->maps; (line = next_mapping(line, mapping)) != nullptr && !failed();) take(mapping);
    if (!failed()) write_file();
  }

 private:
  [[gnu::format(printf, 2, 3)]] void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(frozen_.problem, sizeof frozen_.problem, format, arguments);
    va_end(arguments);
  }
  [[nodiscard]] bool failed() const { return frozen_.problem[0] != '\0'; }

  bool read_maps() {
    if (read_mappings("/proc/self/maps", work_->maps, kMapsText) >= 0) return true;
    fail("read /proc/self/maps: %s", strerror(errno));
    return false;
  }

  // Maps what is free between two pieces of heap, so that a launch maps both in one call.
  void close_gaps() {
    Mapping mapping;
    uintptr_t last = 0;  // end of such a piece, or 0
    for (char* line = work_->maps; (line = next_mapping(line, mapping)) != nullptr;) {
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
      return fail("memory at %#zx, where no image can lie", static_cast<size_t>(it.from));
    }
    const auto workspace = reinterpret_cast<uintptr_t>(work_);
    const uintptr_t kept = kept_stack();
    take_but(it, {workspace, workspace + static_cast<uintptr_t>(round_up(sizeof(Workspace)))},
             [&](const Mapping& rest) {
               take_but(rest, content_.left_out, [&](const Mapping& more) {
                 take_but(more, {(content_.block & ~(page_ - 1)) - kStackSize, kept},
                          [&](const Mapping& wanted) { take_whole(wanted); });
               });
             });
  }

  template <typename Function>
  static void take_but(const Mapping& it, const Range& left_out, const Function& function) {
    const auto [from, to] = left_out;
    Mapping part = it;
    part.to = it.to < from ? it.to : from;
    if (part.from < part.to) function(part);
    part = it;
    part.from = it.from > to ? it.from : to;
    part.offset += part.from - it.from;
    if (part.from < part.to) function(part);
  }

  void take_whole(const Mapping& it) {
    if (failed()) return;
    if (it.is_shared && (it.protection & kWrite) != 0)
      return fail("shared memory at %#zx%s%s", static_cast<size_t>(it.from), *it.path != '\0' ? ": " : "",
                  it.path);
    const MemoryFlags flags = find_flags(work_->smaps, it.from);
    if (flags.unfit != nullptr) return fail("memory at %#zx %s", static_cast<size_t>(it.from), flags.unfit);
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
      return fail("memory at %#zx cannot be read: %s", static_cast<size_t>(it.from), strerror(errno));
    uintptr_t first = it.from;
    uintptr_t last = it.to;
    while (first < last && is_zero(first)) first += page_;
    while (first < last && is_zero(last - page_)) last -= page_;
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
    for (uintptr_t at = from; at < to && !failed(); at += page_) {
      const uintptr_t size = size_of_growable(reinterpret_cast<const uintptr_t*>(at));
      if (size < 2 * page_ || size % page_ != 0 || size > to - at) continue;
      if (growable_ == kMaxSegments) return fail("more than %u large blocks of memory", kMaxSegments);
      work_->growable[growable_++] = at;
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

  // Pages that were written to before they became read-only (relro) are the image's, the others their file's.
  void take_of_file(const Mapping& it, uint8_t protection) {
    const int index = find_file(it);
    if (index < 0) return;
    uintptr_t start = it.from;
    bool is_written = false;
    for (uintptr_t at = it.from; at < it.to && !failed(); at += kChunk) {
      const size_t size = it.to - at < kChunk ? it.to - at : kChunk;
      const ssize_t got =
          pread(work_->file[index].fd, work_->chunk, size, static_cast<off_t>(it.offset + (at - it.from)));
      if (got < 0) return fail("read %s: %s", it.path, strerror(errno));
      memset(work_->chunk + got, 0, size - static_cast<size_t>(got));
      for (size_t page = 0; page < size; page += page_) {
        // Loaders map more, which nobody can look at (SIGBUS).
        const bool is_in_file = page < static_cast<size_t>(got);
        const bool differs =
            is_in_file && memcmp(work_->chunk + page, reinterpret_cast<const void*>(at + page), page_) != 0;
        if (differs != is_written && at + page > it.from) {
          add_of_file(it, start, at + page, is_written ? kOfImage : static_cast<int16_t>(index), protection);
          start = at + page;
        }
        is_written = differs;
      }
    }
    add_of_file(it, start, it.to, is_written ? kOfImage : static_cast<int16_t>(index), protection);
  }

  void add_empty(const Mapping& it, Nature nature) {
    add(it.from, it.to, kOfNothing, it.protection);
    if (!failed()) work_->segment[segments_ - 1].nature = nature;
  }

  void add_of_file(const Mapping& it, uintptr_t from, uintptr_t to, int16_t file, uint8_t protection) {
    add(from, to, file, protection, file >= 0 ? it.offset + (from - it.from) : 0);
  }

  int find_file(const Mapping& it) {
    for (int i = 0; i < files_; i++) {
      if (strcmp(work_->file[i].path, it.path) == 0) return i;
    }
    if (files_ == static_cast<int>(kMaxFiles)) {
      fail("more than %d files are mapped", files_);
      return -1;
    }
    Workspace::File& file = work_->file[files_];
    FileStatus status;
    file.fd = open(it.path, O_RDONLY | O_CLOEXEC);
    if (file.fd < 0 || look(file.fd, "", Follow::kYes, &status) != 0 || status.inode != it.inode) {
      fail("%s is mapped, but it is another file by now", it.path);
      return -1;
    }
    const bool is_trusted = (content_.flags & kTrusted) != 0;
    file.sample = is_trusted ? find_sample(file.fd) : 0;
    file.identity = is_trusted ? build_identity(file.fd, status, file.sample) : identity(status);
    if (file.identity == kNever) {
      fail("read %s: %s", it.path, strerror(errno));
      return -1;
    }
    file.path = it.path;
    return files_++;
  }

  [[nodiscard]] bool is_zero(uintptr_t page) const {
    const auto* word = reinterpret_cast<const uintptr_t*>(page);
    for (size_t i = 0; i < page_ / sizeof *word; i++) {
      if (word[i] != 0) return false;
    }
    return true;
  }

  void add(uintptr_t from, uintptr_t to, int16_t file, uint8_t protection, uint64_t offset = 0) {
    if (from >= to || failed()) return;
    if (segments_ > 0) {
      Segment& last = work_->segment[segments_ - 1];
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
    if (segments_ == kMaxSegments) return fail("more than %u mappings", kMaxSegments);
    work_->segment[segments_++] = {from, to - from, offset, file, protection, Nature::kUsual, {}};
  }

  [[nodiscard]] uint64_t round_up(uint64_t size) const { return (size + page_ - 1) & ~uint64_t{page_ - 1}; }

  // Places the image's own segments behind the tables.
  void place_segments(uint64_t& end) {
    for (uint32_t i = 0; i < segments_; i++) {
      Segment& it = work_->segment[i];
      if (it.file != kOfImage) continue;
      it.offset = end;
      end += it.size;
    }
  }

  void write_file() {
    if (segments_ + growable_ > kMaxSegments - kWrittenSegments)
      return fail("more than %u mappings", kMaxSegments - kWrittenSegments);
    for (uint32_t i = 0; i < growable_; i++)
      work_->segment[segments_++] = {work_->growable[i], page_, 0, kBorder, 0, Nature::kUsual, {}};
    for (uint32_t i = 0; i < kWrittenSegments; i++)
      work_->segment[segments_++] = {0, 0, 0, kWritten, 0, Nature::kUsual, {}};
    Header header = {};
    memcpy(header.magic, kMagic, sizeof kMagic);
    header.format = kFormat;
    header.lua = content_.lua;
    header.page_size = static_cast<uint32_t>(page_);
    header.flags = content_.flags;
    header.entry = reinterpret_cast<uintptr_t>(content_.entry);
    header.thread_pointer = thread_pointer();
    header.segments = segments_;
    header.files = static_cast<uint32_t>(files_);
    header.build = kBuild;
    header.processor = hash_processor(auxiliary_vector());
    header.questions =
        static_cast<uint32_t>(sizeof header + segments_ * sizeof(Segment) + header.files * sizeof(MappedFile));
    header.questions_size = content_.questions_size;
    uint64_t text = uint64_t{header.questions} + header.questions_size;
    for (int i = 0; i < files_; i++) text += strlen(work_->file[i].path) + 1;
    header.tables_size = (text + 8) & ~uint64_t{7};  // at least one zero at the end
    if (header.tables_size > kMaxTables)
      return fail("the warm-up has asked for too much (%zu bytes of questions)", static_cast<size_t>(text));

    header.file_size = round_up(header.tables_size);
    place_segments(header.file_size);
    for (uint32_t i = 0; i < segments_; i++) {
      const Segment& it = work_->segment[i];
      if (it.file == kOfImage && (it.protection & kWrite) != 0)
        find_held_mutexes(static_cast<uintptr_t>(it.address), static_cast<uintptr_t>(it.address + it.size),
                          thread_id());
    }
    if (ftruncate(fd_, static_cast<off_t>(header.file_size)) != 0) return fail("write: %s", strerror(errno));
    for (uint32_t i = 0; i < segments_ && !failed(); i++) {
      if (work_->segment[i].file == kOfImage) write_segment(work_->segment[i]);
    }
    if (!failed()) forget_stack();
    if (!failed()) write_tables(header);
    frozen_.segments = segments_ - growable_ - kWrittenSegments;
  }

  // Pages of zeroes are left out of the file: they take no room there, and read as zeroes.
  void write_segment(const Segment& it) {
    const auto address = static_cast<uintptr_t>(it.address);
    const auto end = static_cast<uintptr_t>(it.address + it.size);
    for (uintptr_t at = address; at < end && !failed();) {
      uintptr_t to = at;
      while (to < end && !is_zero(to)) to += page_;
      write_all(reinterpret_cast<const void*>(at), to - at, it.offset + (at - address));
      for (at = to; at < end && is_zero(at);) at += page_;
    }
  }

  // What is kept of the stack that this runs on: the frame of libc that has called main, to which glibc jumps
  // where the main thread ends before others (pthread_exit(3)), and room below it for what that calls.
  [[nodiscard]] uintptr_t kept_stack() const {
    constexpr uintptr_t kRoom = 256 << 10;  // bytes
    return (content_.block & ~(page_ - 1)) - kRoom;
  }

  // The rest of it are zeroes in the file: nothing that main or whatever it called has had in its frames.
  void forget_stack() {
    const uintptr_t from = kept_stack();
    for (uint32_t i = 0; i < segments_; i++) {
      const Segment& it = work_->segment[i];
      if (it.file != kOfImage || from - it.address >= it.size) continue;
      memset(work_->chunk, 0, page_);
      for (uintptr_t at = from; at < content_.frame && !failed(); at += page_) {
        const size_t size = content_.frame - at < page_ ? content_.frame - at : page_;
        if (!is_zero(at)) write_all(work_->chunk, size, it.offset + (at - it.address));
      }
    }
  }

  void write_all(const void* data, size_t size, uint64_t offset) {
    const auto* from = static_cast<const char*>(data);
    frozen_.size += size;
    while (size > 0) {
      const ssize_t written = pwrite(fd_, from, size, static_cast<off_t>(offset));
      if (written <= 0) return fail("write: %s", strerror(written == 0 ? ENOSPC : errno));
      from += written;
      offset += static_cast<uint64_t>(written);
      size -= static_cast<size_t>(written);
    }
  }

  void write_tables(Header& header) {
    char* at = work_->tables + sizeof header;
    const auto append = [&at](const void* data, size_t size) {
      memcpy(at, data, size);
      at += size;
    };
    append(work_->segment, segments_ * sizeof(Segment));
    char* const files = at;
    at += header.files * sizeof(MappedFile);
    append(content_.questions, content_.questions_size);
    for (int i = 0; i < files_; i++) {
      const MappedFile file = {work_->file[i].identity, static_cast<uint32_t>(at - work_->tables),
                               work_->file[i].sample};
      memcpy(files + static_cast<size_t>(i) * sizeof file, &file, sizeof file);
      append(work_->file[i].path, strlen(work_->file[i].path) + 1);
    }
    // The file's time is set, not found: what is written last would change it.
    timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[1]);
    now[0] = now[1];
    if (futimens(fd_, now) != 0) return fail("set the time: %s", strerror(errno));
    FileStatus status;
    if (look(fd_, "", Follow::kYes, &status) != 0) return fail("statx: %s", strerror(errno));
    header.made_seconds = status.modified.seconds;
    header.made_nanoseconds = status.modified.nanoseconds;
    memcpy(work_->tables, &header, sizeof header);
    auto* const whole = reinterpret_cast<Header*>(work_->tables);
    whole->checksum = checksum_of(*whole);
    write_all(work_->tables, static_cast<size_t>(header.tables_size), 0);
    if (!failed() && futimens(fd_, now) != 0) return fail("set the time: %s", strerror(errno));
    if (!failed() && fsync(fd_) != 0) return fail("fsync: %s", strerror(errno));
  }

  int fd_;
  const Content& content_;
  Frozen& frozen_;
  size_t page_;  // bytes
  Workspace* work_ = nullptr;
  uint32_t segments_ = 0;
  uint32_t growable_ = 0;
  int files_ = 0;
  uintptr_t end_of_program_ = 0;
  char program_[512] = "";
};

}  // namespace

void freeze(int fd, const Content& content, Frozen& frozen) { Freezer(fd, content, frozen).run(); }

}  // namespace moonlet::image
