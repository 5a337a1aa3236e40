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

// An image, or one below it, in memory, whose tables and pages are read there.
struct Mapped : Tables {
  Mapped(int fd, int protection, int flags) {
    struct stat status;
    if (fstat(fd, &status) != 0) return;
    void* const mapped = mmap(nullptr, static_cast<size_t>(status.st_size), protection, flags, fd, 0);
    if (mapped != MAP_FAILED) at = static_cast<const char*>(mapped);
  }
  void unmap() {
#if defined(MOONLET_LAYERS)
    if (at == nullptr) return;
#endif
    munmap(const_cast<char*>(at), header().file_size);
  }
};

#if defined(MOONLET_LAYERS)
// The image below that has that index, or nothing.
Mapped of_image_below(const Tables& tables, int file) {
  const int fd = file >= 0 ? open(tables.path(static_cast<uint32_t>(file)), O_RDONLY | O_CLOEXEC) : -1;
  Mapped below(fd, PROT_READ, MAP_PRIVATE);
  if (fd >= 0) close(fd);
  return below;
}
#endif

// Which pages are this process' own. pagemap(5) tells, but small kernels have none; then what is in a page
// does, unless the same was written.
class Pages {
 public:
  explicit Pages(size_t page_size) : page_size_(page_size) {}

  // `its`: what the image has of the page at `address`.
  bool is_written(uintptr_t address, const char* its) {
#if defined(MOONLET_PAGE_MONITOR)
    constexpr uint64_t kPresent = uint64_t{1} << 63;
    constexpr uint64_t kOfFile = uint64_t{1} << 61;
    const uintptr_t page = address / page_size_;
    if (pagemap_ >= 0 && page - first_ >= count_) read_from(page);
    if (count_ != 0) {
      const uint64_t entry = entry_[page - first_];
      return (entry & kPresent) != 0 && (entry & kOfFile) == 0;
    }
#endif
    return memcmp(its, reinterpret_cast<const void*>(address), page_size_) != 0;
  }

 private:
#if defined(MOONLET_PAGE_MONITOR)
  void read_from(uintptr_t page) {
    const ssize_t size = pread(pagemap_, entry_, sizeof entry_, static_cast<off_t>(page * sizeof *entry_));
    first_ = page;
    count_ = size > 0 ? static_cast<uintptr_t>(size) / sizeof *entry_ : 0;
  }

  const int pagemap_ = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uintptr_t first_ = 0;
  uintptr_t count_ = 0;
  uint64_t entry_[64];
#endif
  const size_t page_size_;
};

}  // namespace

void tell_written_pages(const char* path, int fd) {
  const int image = open(path, O_RDONLY | O_CLOEXEC);
  const Mapped mapped(image, PROT_READ, MAP_PRIVATE);
  if (mapped.at == nullptr) return;
  const size_t page = mapped.header().page_size;
  Pages pages(page);
  for (uint32_t i = 0; i < mapped.header().segments; i++) {
    const Segment& it = mapped.segments()[i];
    if ((it.protection & kWrite) == 0) continue;
#if defined(MOONLET_LAYERS)
    Mapped below = of_image_below(mapped, it.file);
    const char* const its = it.file == kOfImage ? mapped.at : below.at;
    if (its == nullptr) continue;
#else
    const char* const its = mapped.at;
    if (it.file != kOfImage) continue;
#endif
    for (Word done = 0; done < it.size; done += page) {
      const uintptr_t address = it.address + done;
      if (!pages.is_written(address, its + it.offset + done)) continue;
      if (write(fd, &address, sizeof address) != static_cast<ssize_t>(sizeof address)) return;
    }
#if defined(MOONLET_LAYERS)
    below.unmap();
#endif
  }
}

const char* populate_written_pages(int fd, const uintptr_t* address, size_t count) {
  Mapped mapped(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  if (mapped.at == nullptr) return "map";
  auto* const header = const_cast<Header*>(&mapped.header());
  auto* next = const_cast<Segment*>(mapped.segments());
  const Segment* const end = next + header->segments;
  while (next < end && next->file != kWritten) next++;
  const uintptr_t page = header->page_size;
  for (size_t i = 0; i < count && next < end; next++) {
    const uintptr_t from = address[i];
    uintptr_t to = from + page;
    for (i++; i < count && address[i] - to < kApart * page; i++) to = address[i] + page;
    *next = {from, to - from, 0, kWritten, kRead | kWrite, Nature::kUsual};
  }
  header->checksum = checksum_of(*header);
  timespec made[2];
  made[0].tv_sec = static_cast<time_t>(header->made_seconds);
  made[0].tv_nsec = static_cast<long>(header->made_nanoseconds);
  made[1] = made[0];
  mapped.unmap();
  if (fsync(fd) != 0) return "fsync";
  return futimens(fd, made) == 0 ? nullptr : "set the time of";
}

}  // namespace moonlet::image
