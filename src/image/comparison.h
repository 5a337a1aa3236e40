// Which pages of a mapped file are still the file's: those that are become segments of it, the others the
// image's own, or patches (image/format.h).
#pragma once

#include "image/layout.h"
#include "image/mappings.h"
#include "image/workspace.h"

#include <stdint.h>

namespace moonlet::image {

class Comparison {
 public:
  Comparison(Workspace& work, Layout& layout) : work_(work), layout_(layout) {}

  /// Adds `it`, a mapping of the file with the index `file`, to the layout. Its pages must not change any more.
  /// Those that can be written are patched only where the file is an image.
  void take(const Mapping& it, int16_t file, uint8_t protection);

 private:
  void add_page(const Mapping& it, int16_t file, uintptr_t at);
  void add_run(const Mapping& it, int16_t file, const Run& run, uint8_t protection);
  [[nodiscard]] bool is_patched(const Run& run) const;
  bool find_difference(const Mapping& it, int16_t file, uintptr_t at);
  uint32_t patch(uintptr_t at, uint64_t* to) const;
  [[nodiscard]] bool is_written_below(uintptr_t page) const;

  Workspace& work_;
  Layout& layout_;
  uint32_t runs_ = 0;
};

}  // namespace moonlet::image
