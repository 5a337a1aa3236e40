#include "image/freeze.h"

#include "base/memory.h"
#include "image/answer.h"
#include "image/format.h"
#include "image/held_mutexes.h"
#include "image/libc_state.h"
#include "image/machine.h"
#include "image/segments.h"
#include "image/window.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

// Writes what find_segments() has found.
class Writer {
 public:
  Writer(int fd, const Content& content, size_t page, Workspace& work, Frozen& frozen)
      : fd_(fd), content_(content), page_(page), work_(work), frozen_(frozen) {}

  void run() {
    frozen_.segments = work_.segments;
    if (!add_notes()) return;
    Header header = make_header();
    header.file_size = place_segments((header.tables_size + header.notes_size + page_ - 1) & ~(page_ - 1));
    if (header.tables_size > kMaxTables)
      return frozen_.fail("the warm-up has asked for too much (%zu bytes of questions)",
                          size_t{header.questions_size});
    if (ftruncate(fd_, static_cast<off_t>(header.file_size)) != 0) return fail_to("write");
    for (uint32_t i = 0; i < work_.segments && !frozen_.has_failed(); i++) {
      if (work_.segment[i].file == kOfImage) write_segment(work_.segment[i]);
    }
    if (!frozen_.has_failed()) forget_stack();
    if (!frozen_.has_failed()) write_notes(header.tables_size);
    if (!frozen_.has_failed()) write_tables(header);
  }

 private:
  void fail_to(const char* what) { frozen_.fail("%s: %s", what, strerror(errno)); }

  // Behind the segments: pages that get a border, and room for those that a rehearsal will find. False: there
  // is none.
  bool add_notes() {
    if (work_.segments + work_.growables > kMaxSegments - kWrittenSegments) {
      frozen_.fail("more than %u mappings", kMaxSegments - kWrittenSegments);
      return false;
    }
    Segment* end = work_.segment + work_.segments;
    for (uint32_t i = 0; i < work_.growables; i++)
      *end++ = {work_.growable[i], page_, 0, kBorder, 0, Nature::kUsual};
    for (uint32_t i = 0; i < kWrittenSegments; i++) *end++ = {0, 0, 0, kWritten, 0, Nature::kUsual};
    work_.segments = static_cast<uint32_t>(end - work_.segment);
    return true;
  }

  // All of it but what the file itself tells: its size, its time, the checksum.
  Header make_header() {
    Header header = {};
    memcpy(header.magic, kMagic, sizeof kMagic);
    header.format = kFormat;
    header.lua = content_.lua;
    header.page_size = static_cast<uint32_t>(page_);
    header.flags = content_.flags;
    header.entry = reinterpret_cast<uintptr_t>(content_.entry);
    header.thread_pointer = thread_pointer();
    header.segments = work_.segments;
    header.files = work_.files;
    header.patches = work_.patches;
    header.build = kBuild;
    header.processor = hash_processor(auxiliary_vector());
    header.questions =
        static_cast<uint32_t>(sizeof header + header.segments * sizeof(Segment) +
                              header.files * sizeof(MappedFile) + header.patches * sizeof(uint64_t));
    header.questions_size = content_.questions_size;
    Word text = Word{header.questions} + header.questions_size;
    for (uint32_t i = 0; i < work_.files; i++) text += strlen(work_.file[i].path) + 1;
    header.tables_size = (text + 8) & ~Word{7};  // at least one zero at the end
    for (const char* const* note = content_.notes; *note != nullptr; note++)
      header.notes_size += static_cast<uint32_t>(strlen(*note) + 1);
    header.modules = content_.modules;
    header.heap = content_.heap;
    return header;
  }

  // Places the image's own segments from `end` on, behind the tables. Returns where they end.
  Word place_segments(Word end) {
    for (uint32_t i = 0; i < work_.segments; i++) {
      Segment& it = work_.segment[i];
      if (it.file != kOfImage) continue;
      it.offset = end;
      end += it.size;
#if !defined(MOONLET_LAYERS)
      if ((it.protection & kWrite) != 0) find_held_mutexes(it.address, it.address + it.size, thread_id());
#endif
    }
    return end;
  }

  // Pages of zeroes are left out of the file: they take no room there, and read as zeroes.
  void write_segment(const Segment& it) {
    const uintptr_t end = it.address + it.size;
    for (uintptr_t at = it.address; at < end && !frozen_.has_failed();) {
      uintptr_t to = at;
      while (to < end && !is_zero(to, page_)) to += page_;
      write_all(reinterpret_cast<const void*>(at), to - at, it.offset + (at - it.address));
      for (at = to; at < end && is_zero(at, page_);) at += page_;
    }
  }

  // Of the stack that is kept nothing that main, or whatever it called, has had in its frames.
  void forget_stack() {
    const uintptr_t from = content_.stack.to;
    for (uint32_t i = 0; i < work_.segments; i++) {
      const Segment& it = work_.segment[i];
      if (it.file != kOfImage || from - it.address >= it.size) continue;
      memset(work_.chunk, 0, page_);
      for (uintptr_t at = from; at < content_.frame && !frozen_.has_failed(); at += page_) {
        const size_t size = content_.frame - at < page_ ? content_.frame - at : page_;
        if (!is_zero(at, page_)) write_all(work_.chunk, size, it.offset + (at - it.address));
      }
    }
  }

  void write_all(const void* data, size_t size, Word offset) {
    const auto* from = static_cast<const char*>(data);
    frozen_.size += size;
    while (size > 0) {
      const ssize_t written = pwrite(fd_, from, size, static_cast<off_t>(offset));
      if (written == 0) errno = ENOSPC;
      if (written <= 0) return fail_to("write");
      from += written;
      offset += static_cast<size_t>(written);
      size -= static_cast<size_t>(written);
    }
  }

  void write_notes(Word at) {
    for (const char* const* note = content_.notes; *note != nullptr && !frozen_.has_failed(); note++) {
      const size_t size = strlen(*note) + 1;
      write_all(*note, size, at);
      at += size;
    }
  }

  void write_tables(Header& header) {
    char* at = work_.tables + sizeof header;
    const auto append = [&at](const void* data, size_t size) {
      memcpy(at, data, size);
      at += size;
    };
    append(work_.segment, header.segments * sizeof(Segment));
    auto* const file = reinterpret_cast<MappedFile*>(at);
    at += header.files * sizeof(MappedFile);
#if defined(MOONLET_LAYERS)
    append(work_.patch, header.patches * sizeof(uint64_t));
#endif
    append(content_.questions, content_.questions_size);
    for (uint32_t i = 0; i < header.files; i++) {
      file[i] = {work_.file[i].identity, static_cast<uint32_t>(at - work_.tables), work_.file[i].sample};
      append(work_.file[i].path, strlen(work_.file[i].path) + 1);
    }
    // The file's time is set, not found: what is written last would change it.
    timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[1]);
    now[0] = now[1];
    FileStatus status;
    if (futimens(fd_, now) != 0 || look(fd_, "", Follow::kYes, &status) != 0) return fail_to("set the time");
    header.made_seconds = status.modified.seconds;
    header.made_nanoseconds = status.modified.nanoseconds;
    memcpy(work_.tables, &header, sizeof header);
    auto* const whole = reinterpret_cast<Header*>(work_.tables);
    whole->checksum = checksum_of(*whole);
    write_all(work_.tables, header.tables_size, 0);
    if (frozen_.has_failed()) return;
    if (futimens(fd_, now) != 0) return fail_to("set the time");
    if (fsync(fd_) != 0) fail_to("fsync");
  }

  int fd_;
  const Content& content_;
  size_t page_;  // bytes
  Workspace& work_;
  Frozen& frozen_;
};

}  // namespace

void Frozen::fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
}

Range unkept_stack(uintptr_t block) {
  constexpr uintptr_t kRoom = 256 << 10;  // bytes
  const uintptr_t end = block & ~(static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
  return {end - kStackSize, end - kRoom};
}

void freeze(int fd, const Content& content, Frozen& frozen) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const memory =
      mmap(nullptr, sizeof(Workspace), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return frozen.fail("map memory: %s", strerror(errno));
  auto& work = *static_cast<Workspace*>(memory);
  prepare_libc_state(content.questions, content.questions_size);
  find_segments(work, content, page, frozen);
  if (!frozen.has_failed()) Writer(fd, content, page, work, frozen).run();
}

}  // namespace moonlet::image
