// Which pages of a process that was thawed are still those of the image that it came from: what does not differ
// is mapped from there by an image that lies on it; the rest are that image's own, or patches (image/format.h).
#pragma once

#include "image/mappings.h"
#include "image/segments.h"
#include "image/tables.h"
#include "image/touched_pages.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

class Comparison {
 public:
  /// `base`: the tables of the image. `page`: the size of one, in bytes.
  Comparison(Workspace& work, const Tables& base, size_t page, Frozen& frozen)
      : work_(work), base_(base), page_(page), frozen_(frozen), touched_(page) {}

  /// Compares `it`, a mapping of the open image `file`, or what is in its place (then `it` has no inode), whose
  /// pages must not change any more, and which a launch maps with that protection: fills in work.run, and adds
  /// to work.patch what no run takes as its own. Returns how many runs there are.
  uint32_t compare(const Mapping& it, int file, uint8_t protection);

 private:
  void add_page(const Mapping& it, int file, bool can_be_patched, uintptr_t at);
  [[nodiscard]] bool is_patched(const Run& run) const;
  void add_patches(const Mapping& it, int file, const Run& run);
  bool differs(const Mapping& it, int file, uintptr_t at);
  uint32_t patch(uintptr_t at, uint64_t* to) const;
  [[nodiscard]] bool is_written_below(uintptr_t page) const;

  Workspace& work_;
  const Tables& base_;
  size_t page_;
  Frozen& frozen_;
  TouchedPages touched_;
  uint32_t runs_ = 0;
};

}  // namespace moonlet::image
