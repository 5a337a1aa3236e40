#include "image/rehearsal.h"

#include "image/format.h"
#include "image/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr uintptr_t kApart = 2;  // pages: what lies between costs less to copy than another call

// The pages of a launch, beside those of the file that they come from.
class Pages {
 public:
  // `page`: room for one.
  Pages(size_t page_size, char* page) : page_size_(page_size), page_(page) {}

  // Whether a page is this process' own. pagemap(5) tells, but small kernels have none; then what is in the
  // page does, unless the same was written.
  [[nodiscard]] bool is_written(int file, uintptr_t address, uint64_t offset) const {
    constexpr uint64_t kPresent = uint64_t{1} << 63;
    constexpr uint64_t kOfFile = uint64_t{1} << 61;
    uint64_t entry;
    if (pread(pagemap_, &entry, sizeof entry, static_cast<off_t>(address / page_size_ * sizeof entry)) ==
        sizeof entry)
      return (entry & kPresent) != 0 && (entry & kOfFile) == 0;
    return pread(file, page_, page_size_, static_cast<off_t>(offset)) == static_cast<ssize_t>(page_size_) &&
           memcmp(page_, reinterpret_cast<const void*>(address), page_size_) != 0;
  }

 private:
  size_t page_size_;
  char* page_;
  int pagemap_ = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
};

}  // namespace

void tell_written_pages(const char* path, int fd) {
  const int image = open(path, O_RDONLY | O_CLOEXEC);
  Header header;
  if (image < 0 || pread(image, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return;
  const auto size = static_cast<size_t>(header.tables_size);
  // Neither of this program's data, whose pages count.
  void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, image, 0);
  void* const page =
      mmap(nullptr, header.page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED || page == MAP_FAILED) return;
  const Tables tables = {static_cast<char*>(mapped)};
  const Pages pages(header.page_size, static_cast<char*>(page));
  for (uint32_t i = 0; i < header.segments; i++) {
    const Segment& it = tables.segments()[i];
    if (it.file < kOfImage || (it.protection & kWrite) == 0) continue;
    const int file = it.file == kOfImage ? image : open(tables.path(it.file), O_RDONLY | O_CLOEXEC);
    for (uint64_t done = 0; done < it.size; done += header.page_size) {
      const auto address = static_cast<uintptr_t>(it.address + done);
      if (!pages.is_written(file, address, it.offset + done)) continue;
      if (write(fd, &address, sizeof address) != static_cast<ssize_t>(sizeof address)) return;
    }
    if (file != image) close(file);
  }
}

const char* populate_written_pages(int fd, const uintptr_t* address, size_t count) {
  Header header;
  if (pread(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return "read back";
  const auto size = static_cast<size_t>(header.tables_size);
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) return "map";
  auto* const tables = static_cast<Header*>(mapped);
  auto* const segment = reinterpret_cast<Segment*>(tables + 1);
  uint32_t next = 0;
  while (next < tables->segments && segment[next].file != kWritten) next++;
  const uintptr_t page = tables->page_size;
  for (size_t i = 0; i < count && next < tables->segments;) {
    const uintptr_t from = address[i];
    uintptr_t to = from + page;
    for (i++; i < count && address[i] - to < kApart * page; i++) to = address[i] + page;
    segment[next++] = {from, to - from, 0, kWritten, kRead | kWrite, Nature::kUsual, {}};
  }
  constexpr size_t kUnchecked = offsetof(Header, checksum) + sizeof tables->checksum;
  tables->checksum = checksum(static_cast<char*>(mapped) + kUnchecked, size - kUnchecked);
  munmap(mapped, size);
  timespec made[2];
  made[0].tv_sec = static_cast<time_t>(header.made_seconds);
  made[0].tv_nsec = static_cast<long>(header.made_nanoseconds);
  made[1] = made[0];
  if (fsync(fd) != 0) return "fsync";
  return futimens(fd, made) == 0 ? nullptr : "set the time of";
}

}  // namespace moonlet::image
