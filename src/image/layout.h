// The table of segments on its way: what a launch will map where, in as few calls as can be.
#pragma once

#include "image/mappings.h"
#include "image/workspace.h"

#include <stdint.h>

namespace moonlet::image {

class Layout {
 public:
  explicit Layout(Workspace& work) : work_(work) {}

  /// Adds [from, to), behind all that was added before: as a part of the last segment where that is possible.
  /// `file`: as in Segment, with `offset` if it is an index.
  void add(uintptr_t from, uintptr_t to, int16_t file, uint8_t protection, uint64_t offset = 0);

  /// Adds the part [from, to) of `it`: of the image itself, or of the file with the index `file`.
  void add_part(const Mapping& it, uintptr_t from, uintptr_t to, int16_t file, uint8_t protection) {
    add(from, to, file, protection, file >= 0 ? it.offset + (from - it.from) : 0);
  }

  /// Adds `it` as memory that no copy of a process may have.
  void add_empty(const Mapping& it, Nature nature);

  /// The index of the file that is mapped, opened. Negative, with a reason in the workspace, if it cannot be.
  int16_t find_file(const Mapping& it);

  /// Notes a block at `at` that an allocator may let grow.
  void add_growable(uintptr_t at);

  /// Behind all others: borders for such blocks, of the image below too, and room for what a rehearsal will
  /// find.
  void add_what_is_no_mapping();

 private:
  [[nodiscard]] bool is_mapped(uint64_t address) const;

  Workspace& work_;
};

}  // namespace moonlet::image
