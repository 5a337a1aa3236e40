// Which pages of this process it has ever looked at. To look at one that is a hole of a file on tmpfs makes
// that take memory, for as long as the file is there.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

class TouchedPages {
 public:
  /// `page`: the size of one, in bytes.
  explicit TouchedPages(size_t page);
  TouchedPages(const TouchedPages&) = delete;
  TouchedPages& operator=(const TouchedPages&) = delete;
  ~TouchedPages();

  /// False if the page at `address`, of a private mapping of a file, is as it is there, because nobody has
  /// looked at it. Without pagemap(5) nobody knows, and it is true.
  bool has(uintptr_t address);

 private:
  const int pagemap_;
  const size_t page_;
  uintptr_t first_ = 0;
  uintptr_t count_ = 0;  // of entries, from that page on
  uint64_t entry_[512];
};

}  // namespace moonlet::image
