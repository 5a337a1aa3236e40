// The tables of an image, as a launch reads them: bytes from outside, of which nothing is believed before it is
// judged. Nothing here maps or asks anything.
#pragma once

#include "image/answer.h"
#include "image/format.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::image {

/// What an image must have been made for.
struct Expected {
  uint32_t lua;        // MOONLET_LUA_CODE
  uint32_t page_size;  // bytes
  uint64_t build;      // kBuild
  uint64_t processor;  // hash_processor()
};

/// The first header.tables_size bytes of an image, aligned to 8.
struct Tables {
  char* at = nullptr;

  [[nodiscard]] const Header& header() const { return *reinterpret_cast<const Header*>(at); }
  [[nodiscard]] const Segment* segments() const {
    return reinterpret_cast<const Segment*>(at + sizeof(Header));
  }
  [[nodiscard]] const MappedFile* files() const {
    return reinterpret_cast<const MappedFile*>(segments() + header().segments);
  }
  [[nodiscard]] const uint64_t* patches() const {
    return reinterpret_cast<const uint64_t*>(files() + header().files);
  }
  [[nodiscard]] char* path(uint32_t file) const { return at + files()[file].path; }
  /// Where the last segment ends.
  [[nodiscard]] uintptr_t end() const;
};

/// What is wrong with the header of an image that is the file in `status`, or null: then its tables_size is at
/// least that of a header, at most kMaxTables, and within the file.
const char* judge_header(const Header& header, const FileStatus& status, const Expected& expected);

/// What is wrong with tables whose header has been judged, or null. Then their segments lie in the window and
/// within the image, none over another, patches lie in those that can be written, the entry is in one that can
/// be executed, and texts end. The questions are judged as they are asked.
const char* judge_tables(const Tables& tables);

}  // namespace moonlet::image
