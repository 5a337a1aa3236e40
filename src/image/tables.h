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
  const char* at = nullptr;

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
  [[nodiscard]] const char* path(uint32_t file) const { return at + files()[file].path; }
  [[nodiscard]] bool is_image(uint32_t file) const { return files()[file].sample == kOfImageBelow; }
};

/// What is wrong with the header of an image that is the file in `status`, or null: then its tables_size is at
/// least that of a header, at most kMaxTables, and within the file.
const char* judge_header(const Header& header, const FileStatus& status, const Expected& expected);

/// Reads the header of the open file `fd`, and says what is wrong with it, or null.
const char* read_header(int fd, const Expected& expected, Header& header);

/// What is wrong with tables whose header has been judged, or null. Then their segments lie in the window and
/// within the image, none over another, patches lie within segments that can be written, the entry is in one
/// that can be executed, and texts end. The questions are judged as they are asked.
const char* judge_tables(const Tables& tables);

/// Whether the open file `fd` is what segments of file number `file` were frozen from, or, where the image is
/// trusted, another copy of the same build: then the image may have been made elsewhere.
bool is_as_frozen(const Tables& tables, uint32_t file, int fd);

/// The path of the first file of an image's segments that is not as it was frozen, or null. It opens each.
const char* first_changed_file(const Tables& tables);

}  // namespace moonlet::image
