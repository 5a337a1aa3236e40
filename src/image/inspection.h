// An image, looked at without being thawed: what its warm-up has asked of the world, and what stands in it for
// people.
#pragma once

#include "image/format.h"
#include "image/tables.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// The tables of an image file. Nothing is freed by itself: whoever calls into Lua cannot have it so.
struct Inspection {
  Tables tables;
  char* notes = nullptr;  // header.notes_size bytes, and a zero

  /// Reads the image `fd`, any file, in the place of what was there. False, with nothing, if it is no image of
  /// this build, or there is no memory.
  bool read(int fd);

  /// Reads what the next two functions need. Without it, or without memory, they tell of nothing.
  void read_notes(int fd);

  /// Gives the memory back.
  void forget();

  [[nodiscard]] bool has_image() const { return tables.at != nullptr; }

  using Each = void (*)(const char* text, void* context);

  /// Calls `each` with the name of every module, in alphabetical order. A name lives as long as the notes.
  void for_each_module(Each each, void* context) const;

  /// Calls `each` with the name of every module that has asked for the time while it was loaded; "the script":
  /// what is no module. A name lives as long as the notes.
  void for_each_asker_of_clock(Each each, void* context) const;

  /// Calls `each` with the path of every file that was asked for, and of those that libraries are mapped from.
  /// A path lives during the call.
  void for_each_path(Each each, void* context) const;

  /// Counts the questions: `number[Asked]` of each kind.
  static constexpr size_t kKinds = static_cast<size_t>(Asked::kLast) + 1;
  void count(uint32_t (&number)[kKinds]) const;
};

}  // namespace moonlet::image
