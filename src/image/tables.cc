#include "image/tables.h"

#include "image/window.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr char kDamaged[] = "is damaged";
constexpr uint8_t kProtections = kRead | kWrite | kExecute;

bool is_sound(const Segment& it, const Header& header) {
  if (it.file == kWritten && it.size == 0) return true;
  if (((it.address | it.size | it.offset) & (header.page_size - 1)) != 0 ||
      !is_in_window(it.address, it.address + it.size) || it.file < kBorder ||
      it.file >= static_cast<int>(header.files) || it.protection > kProtections ||
      it.nature > Nature::kDroppable)
    return false;
  return it.file != kOfImage || (it.size <= header.file_size && it.offset <= header.file_size - it.size);
}

#if defined(MOONLET_LAYERS)
uint32_t patches_of(const Header& header) { return header.patches; }

// Segments ascend, and so do patches.
bool are_patches_sound(const Tables& tables) {
  const Segment* segment = tables.segments();
  const Segment* const last = segment + tables.header().segments;
  const uint64_t* word = tables.patches();
  const uint64_t* const end = word + tables.header().patches;
  while (word < end) {
    const Word address = address_of_patch(*word);
    const uint32_t count = words_of_patch(*word++);
    const Word size = count * sizeof *word;
    if (count == 0 || count > static_cast<size_t>(end - word) || address % sizeof *word != 0 ||
        address + size < address)
      return false;
    while (segment < last && (segment->file <= kWritten || segment->address + segment->size < address + size))
      segment++;
    if (segment == last || segment->address > address || (segment->protection & kWrite) == 0) return false;
    word += count;
  }
  return true;
}
#else
constexpr uint32_t patches_of(const Header&) { return 0; }
bool are_patches_sound(const Tables&) { return true; }
#endif

}  // namespace

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

const char* read_header(int fd, const Expected& expected, Header& header) {
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0 || (status.mode & S_IFMT) != S_IFREG ||
      pread(fd, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
    return "is no image";
  return judge_header(header, status, expected);
}

const char* judge_tables(const Tables& tables) {
  const Header& header = tables.header();
  if (header.tables_size % 8 != 0 || checksum_of(header) != header.checksum) return kDamaged;
  if (header.segments > kMaxSegments || header.files > kMaxFiles || patches_of(header) > kMostPatches ||
      (header.questions | header.questions_size) % 8 != 0 || header.questions >= header.tables_size ||
      header.questions_size >= header.tables_size - header.questions ||
      tables.at[header.tables_size - 1] != '\0')
    return kDamaged;
  if (tables.at + header.questions < reinterpret_cast<const char*>(tables.patches() + patches_of(header)))
    return kDamaged;
  bool enters = false;
  Word last = 0;  // segments ascend, so that none lies over another
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
    if (path < header.questions + header.questions_size || path >= header.tables_size) return kDamaged;
  }
  return enters && are_patches_sound(tables) ? nullptr : kDamaged;
}

bool is_as_frozen(const Tables& tables, uint32_t file, int fd) {
  const MappedFile& frozen = tables.files()[file];
  FileStatus status;
  if (look(fd, "", Follow::kYes, &status) != 0) return false;
  const bool is_trusted = (tables.header().flags & kTrusted) != 0;
#if defined(MOONLET_LAYERS)
  const uint32_t sample = tables.is_image(file) ? 0 : frozen.sample;
#else
  const uint32_t sample = frozen.sample;
#endif
  return (is_trusted ? build_identity(fd, status, sample) : identity(status)) == frozen.identity;
}

const char* first_changed_file(const Tables& tables) {
  for (uint32_t i = 0; i < tables.header().files; i++) {
    const int fd = open(tables.path(i), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const bool is_same = fd >= 0 && is_as_frozen(tables, i, fd);
    if (fd >= 0) close(fd);
    if (!is_same) return tables.path(i);
  }
  return nullptr;
}

}  // namespace moonlet::image
