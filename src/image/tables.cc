#include "image/tables.h"

#include "image/window.h"

#include <string.h>

namespace moonlet::image {

namespace {

constexpr char kDamaged[] = "is damaged";
constexpr uint8_t kProtections = kRead | kWrite | kExecute;

bool is_aligned(uint64_t value, uint64_t page) { return (value & (page - 1)) == 0; }

bool is_sound(const Segment& it, const Header& header) {
  const uint64_t end = it.address + it.size;
  if (it.file == kWritten && it.size == 0) return true;
  if (!is_aligned(it.address | it.size | it.offset, header.page_size) || !is_in_window(it.address, end) ||
      it.file < kBorder || it.file >= static_cast<int>(header.files) || it.protection > kProtections ||
      it.nature > Nature::kDroppable)
    return false;
  return it.file != kOfImage || (it.size <= header.file_size && it.offset <= header.file_size - it.size);
}

// Segments ascend, and so do patches.
bool are_patches_sound(const Tables& tables) {
  const Segment* segment = tables.segments();
  const Segment* const last = segment + tables.header().segments;
  const uint64_t* word = tables.patches();
  const uint64_t* const end = word + tables.header().patches;
  while (word < end) {
    const uint64_t address = address_of_patch(*word);
    const uint32_t count = words_of_patch(*word++);
    const uint64_t size = uint64_t{count} * sizeof *word;
    if (count == 0 || count > static_cast<size_t>(end - word) || address % sizeof *word != 0) return false;
    while (segment < last && (segment->file <= kWritten || segment->address + segment->size < address + size))
      segment++;
    if (segment == last || segment->address > address || (segment->protection & kWrite) == 0) return false;
    word += count;
  }
  return true;
}

}  // namespace

uintptr_t Tables::end() const {
  uint64_t end = 0;
  for (uint32_t i = 0; i < header().segments; i++) {
    const Segment& it = segments()[i];
    if (it.address + it.size > end) end = it.address + it.size;
  }
  return static_cast<uintptr_t>(end);
}

const char* judge_header(const Header& header, const FileStatus& status, const Expected& expected) {
  if (memcmp(header.magic, kMagic, sizeof kMagic) != 0) return "is no image";
  if (header.format != kFormat || header.build != expected.build) return "was made by another build of moonlet";
  if (header.lua != expected.lua) return "is of another Lua";
  if (header.page_size != expected.page_size || header.processor != expected.processor)
    return "was made on another processor";
  if (header.file_size != status.size || header.tables_size > kMaxTables ||
      header.tables_size > header.file_size || header.tables_size < sizeof header)
    return kDamaged;
  if ((header.flags & kTrusted) == 0 && (header.made_seconds != status.modified.seconds ||
                                         header.made_nanoseconds != status.modified.nanoseconds))
    return "has been changed";
  return nullptr;
}

const char* judge_tables(const Tables& tables) {
  const Header& header = tables.header();
  constexpr size_t kUnchecked = offsetof(Header, checksum) + sizeof header.checksum;
  const auto checked = static_cast<size_t>(header.tables_size - kUnchecked);
  if (checked % 8 != 0 || checksum(tables.at + kUnchecked, checked) != header.checksum) return kDamaged;
  const uint64_t fixed = sizeof header + uint64_t{header.segments} * sizeof(Segment) +
                         uint64_t{header.files} * sizeof(MappedFile) +
                         uint64_t{header.patches} * sizeof(uint64_t);
  const uint64_t texts = uint64_t{header.questions} + header.questions_size;
  if (header.segments > kMaxSegments || header.files > kMaxFiles || header.questions < fixed ||
      (header.questions | header.questions_size) % 8 != 0 || texts >= header.tables_size ||
      tables.at[header.tables_size - 1] != '\0')
    return kDamaged;
  bool enters = false;
  uint64_t last = 0;  // segments ascend, so that none lies over another
  for (uint32_t i = 0; i < header.segments; i++) {
    const Segment& it = tables.segments()[i];
    if (!is_sound(it, header)) return kDamaged;
    if (it.file <= kWritten) continue;
    if (it.address < last) return kDamaged;
    enters |= (it.protection & kExecute) != 0 && header.entry - it.address < it.size;
    last = it.address + it.size;
  }
  for (uint32_t i = 0; i < header.files; i++) {
    const uint32_t path = tables.files()[i].path;
    if (path < texts || path >= header.tables_size) return kDamaged;
  }
  return enters && are_patches_sound(tables) ? nullptr : kDamaged;
}

}  // namespace moonlet::image
