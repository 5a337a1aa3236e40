// The tables of an image, as a launch reads them before it maps anything: bytes of a file. An input: what of
// them is made right first (u8, Right), the size of the file less that of the tables (u16), and then the
// tables.

#include "fuzz.h"

#include "image/answer.cc"
#include "image/tables.cc"

namespace moonlet::fuzz {
namespace {

constexpr size_t kMostBytes = 65536;
constexpr image::Expected kExpected = {504, 4096, image::kBuild, 0x0123456789abcdef};

enum Right : uint8_t { kOrigin = 1, kSizes = 2, kTime = 4, kChecksum = 8 };

image::FileStatus status;

// Few inputs come so far by themselves.
void make_right(image::Header& header, size_t size, uint8_t right) {
  if ((right & kOrigin) != 0) {
    memcpy(header.magic, image::kMagic, sizeof header.magic);
    header.format = image::kFormat;
    header.lua = kExpected.lua;
    header.page_size = kExpected.page_size;
    header.build = kExpected.build;
    header.processor = kExpected.processor;
  }
  if ((right & kSizes) != 0) {
    header.tables_size = size;
    header.file_size = status.size;
  }
  if ((right & kTime) != 0) {
    header.made_seconds = status.modified.seconds;
    header.made_nanoseconds = status.modified.nanoseconds;
  }
  if ((right & kChecksum) != 0) {
    constexpr size_t kUnchecked = offsetof(image::Header, checksum) + sizeof header.checksum;
    header.checksum = image::checksum(reinterpret_cast<char*>(&header) + kUnchecked, size - kUnchecked);
  }
}

void check_segments(const image::Tables& tables) {
  const image::Header& header = tables.header();
  bool enters = false;
  uint64_t last = 0;
  for (uint32_t i = 0; i < header.segments; i++) {
    const image::Segment& it = tables.segments()[i];
    if (it.file == image::kWritten && it.size == 0) continue;
    PROMISE(image::is_in_window(it.address, it.address + it.size));
    PROMISE((it.address | it.size | it.offset) % kExpected.page_size == 0);
    if (it.file <= image::kWritten) continue;
    PROMISE(it.file < static_cast<int>(header.files) && it.address >= last && it.protection <= 7);
    PROMISE(it.file != image::kOfImage || (it.offset < status.size && it.offset + it.size <= status.size));
    enters |= header.entry >= it.address && header.entry < it.address + it.size &&
              (it.protection & image::kExecute) != 0;
    last = it.address + it.size;
  }
  PROMISE(enters);
}

void check_patches(const image::Tables& tables) {
  const image::Header& header = tables.header();
  for (uint32_t i = 0; i < header.patches;) {
    const uint64_t first = tables.patches()[i++];
    const uint64_t from = image::address_of_patch(first);
    const uint64_t to = from + sizeof first * image::words_of_patch(first);
    bool is_writable = false;
    for (uint32_t k = 0; k < header.segments; k++) {
      const image::Segment& it = tables.segments()[k];
      is_writable |= it.file > image::kWritten && (it.protection & image::kWrite) != 0 && it.address <= from &&
                     to <= it.address + it.size;
    }
    PROMISE(is_writable && from < to);
    i += image::words_of_patch(first);
    PROMISE(i <= header.patches && tables.patches()[i - 1] <= ~uint64_t{0});
  }
}

// Each text ends, and each byte that a launch looks at is there, or AddressSanitizer says so.
void check_texts(const image::Tables& tables) {
  const image::Header& header = tables.header();
  size_t length = 0;
  for (uint32_t i = 0; i < header.files; i++)
    length += strlen(tables.path(i)) + (tables.files()[i].identity & 1);
  for (uint32_t i = 0; i < header.questions_size; i++) length += tables.at[header.questions + i] == 'x';
  PROMISE(length < uint64_t{image::kMaxTables} * image::kMaxFiles);
}

}  // namespace
}  // namespace moonlet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moonlet;
  fuzz::Input input(data, size);
  const auto right = input.number<uint8_t>();
  const auto pages = input.number<uint16_t>();
  size_t length = input.left();
  if (length < sizeof(image::Header) || length > fuzz::kMostBytes) return 0;
  const uint8_t* bytes = input.take(length, length);
  auto* const copy = static_cast<char*>(malloc(length));  // aligned, and nothing is behind it
  memcpy(copy, bytes, length);
  auto& header = *reinterpret_cast<image::Header*>(copy);
  fuzz::status.size = length + pages;
  fuzz::status.modified = {1700000000, 123456789, 0};
  fuzz::make_right(header, length, right);
  // A launch reads no more than the header says.
  if (image::judge_header(header, fuzz::status, fuzz::kExpected) == nullptr) {
    PROMISE(header.tables_size >= sizeof header && header.tables_size <= fuzz::status.size);
    const image::Tables tables = {copy};
    if (header.tables_size <= length && image::judge_tables(tables) == nullptr) {
      fuzz::check_segments(tables);
      fuzz::check_patches(tables);
      fuzz::check_texts(tables);
    }
  }
  free(copy);
  return 0;
}
