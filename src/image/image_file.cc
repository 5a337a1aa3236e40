#include "image/image_file.h"

#include "image/answer.h"
#include "image/libc_state.h"
#include "image/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

class ImageFile {
 public:
  ImageFile(Workspace& work, int fd) : work_(work), content_(*work.content), page_(work.page_size), fd_(fd) {}

  void write() {
    Header header = make_header();
    if (work_.failed()) return;
    header.file_size = work_.round_up(header.tables_size);
    place_segments(header.file_size);
    if (ftruncate(fd_, static_cast<off_t>(header.file_size)) != 0)
      return work_.fail("write: %s", strerror(errno));
    for (uint32_t i = 0; i < work_.segments && !work_.failed(); i++) {
      if (work_.segment[i].file == kOfImage) write_segment(work_.segment[i]);
    }
    if (!work_.failed()) forget_stack();
    if (!work_.failed()) write_tables(header);
  }

 private:
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
    uint64_t text = uint64_t{header.questions} + header.questions_size;
    for (uint32_t i = 0; i < work_.files; i++) text += strlen(work_.file[i].path) + 1;
    header.tables_size = (text + 8) & ~uint64_t{7};  // at least one zero at the end
    if (header.tables_size > kMaxTables)
      work_.fail("the warm-up has asked for too much (%zu bytes of questions)", static_cast<size_t>(text));
    return header;
  }

  // Places the image's own segments behind the tables.
  void place_segments(uint64_t& end) {
    for (uint32_t i = 0; i < work_.segments; i++) {
      Segment& it = work_.segment[i];
      if (it.file != kOfImage) continue;
      it.offset = end;
      end += it.size;
    }
  }

  // Pages of zeroes are left out of the file: they take no room there, and read as zeroes.
  void write_segment(const Segment& it) {
    const auto address = static_cast<uintptr_t>(it.address);
    const auto end = static_cast<uintptr_t>(it.address + it.size);
    for (uintptr_t at = address; at < end && !work_.failed();) {
      uintptr_t to = at;
      while (to < end && !work_.is_zero(to)) to += page_;
      write_all(reinterpret_cast<const void*>(at), to - at, it.offset + (at - address));
      for (at = to; at < end && work_.is_zero(at);) at += page_;
    }
    for (uintptr_t at = address; at < end && !work_.failed(); at += page_) {
      if (copy_without_own(at, page_, work_.own)) write_all(work_.own, page_, it.offset + (at - address));
    }
  }

  // What is kept of the stack are zeroes in the file below `frame`: nothing that main or whatever it called has
  // had in its frames.
  void forget_stack() {
    const uintptr_t from = content_.stack.to;
    for (uint32_t i = 0; i < work_.segments; i++) {
      const Segment& it = work_.segment[i];
      if (it.file != kOfImage || from - it.address >= it.size) continue;
      memset(work_.page, 0, page_);
      for (uintptr_t at = from; at < content_.frame && !work_.failed(); at += page_) {
        const size_t size = content_.frame - at < page_ ? content_.frame - at : page_;
        if (!work_.is_zero(at)) write_all(work_.page, size, it.offset + (at - it.address));
      }
    }
  }

  void write_all(const void* data, size_t size, uint64_t offset) {
    const auto* from = static_cast<const char*>(data);
    work_.frozen->size += size;
    while (size > 0) {
      const ssize_t written = pwrite(fd_, from, size, static_cast<off_t>(offset));
      if (written <= 0) return work_.fail("write: %s", strerror(written == 0 ? ENOSPC : errno));
      from += written;
      offset += static_cast<uint64_t>(written);
      size -= static_cast<size_t>(written);
    }
  }

  // All but the header, which is written there too once it is complete.
  void lay_out_tables(const Header& header) {
    char* at = work_.tables + sizeof header;
    const auto append = [&at](const void* data, size_t size) {
      memcpy(at, data, size);
      at += size;
    };
    append(work_.segment, header.segments * sizeof(Segment));
    char* const files = at;
    at += header.files * sizeof(MappedFile);
    append(work_.patch, header.patches * sizeof(uint64_t));
    append(content_.questions, content_.questions_size);
    for (uint32_t i = 0; i < header.files; i++) {
      const Workspace::File& it = work_.file[i];
      const MappedFile file = {it.identity, static_cast<uint32_t>(at - work_.tables), it.is_image ? 1U : 0U};
      memcpy(files + size_t{i} * sizeof file, &file, sizeof file);
      append(it.path, strlen(it.path) + 1);
    }
  }

  void write_tables(Header& header) {
    lay_out_tables(header);
    // The file's time is set, not found: what is written last would change it.
    timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[1]);
    now[0] = now[1];
    if (futimens(fd_, now) != 0) return work_.fail("set the time: %s", strerror(errno));
    FileStatus status;
    if (look(fd_, "", Follow::kYes, &status) != 0) return work_.fail("statx: %s", strerror(errno));
    header.made_seconds = status.modified.seconds;
    header.made_nanoseconds = status.modified.nanoseconds;
    memcpy(work_.tables, &header, sizeof header);
    constexpr size_t kUnchecked = offsetof(Header, checksum) + sizeof header.checksum;
    const auto size = static_cast<size_t>(header.tables_size);
    header.checksum = checksum(work_.tables + kUnchecked, size - kUnchecked);
    memcpy(work_.tables, &header, sizeof header);
    write_all(work_.tables, size, 0);
    if (!work_.failed() && futimens(fd_, now) != 0) return work_.fail("set the time: %s", strerror(errno));
    if (!work_.failed() && fsync(fd_) != 0) return work_.fail("fsync: %s", strerror(errno));
  }

  Workspace& work_;
  const Content& content_;
  const size_t page_;  // bytes
  int fd_;
};

}  // namespace

void write_image_file(Workspace& work, int fd) { ImageFile(work, fd).write(); }

}  // namespace moonlet::image
