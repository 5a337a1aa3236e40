#include "image/touched_pages.h"

#include <fcntl.h>
#include <unistd.h>

namespace moonlet::image {

TouchedPages::TouchedPages(size_t page)
    : pagemap_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)), page_(page) {}

TouchedPages::~TouchedPages() {
  if (pagemap_ >= 0) close(pagemap_);
}

bool TouchedPages::has(uintptr_t address) {
  const uintptr_t page = address / page_;
  if (page - first_ >= count_) {
    const ssize_t size = pread(pagemap_, entry_, sizeof entry_, static_cast<off_t>(page * sizeof *entry_));
    first_ = page;
    count_ = size > 0 ? static_cast<uintptr_t>(size) / sizeof *entry_ : 0;
    if (count_ == 0) return true;
  }
  constexpr uint64_t kPresentOrSwapped = uint64_t{3} << 62;
  return (entry_[page - first_] & kPresentOrSwapped) != 0;
}

}  // namespace moonlet::image
