#include "image/layout.h"

#include "image/answer.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

void Layout::add(uintptr_t from, uintptr_t to, int16_t file, uint8_t protection, uint64_t offset) {
  if (from >= to || work_.failed()) return;
  if (work_.segments > 0) {
    Segment& last = work_.segment[work_.segments - 1];
    // What a library keeps beside its code, to read, is mapped with the code: a mapping less costs 3 us less.
    const bool fits =
        last.protection == protection || (file >= 0 && ((last.protection | protection) & kWrite) == 0);
    if (last.address + last.size == from && last.file == file && fits && last.nature == Nature::kUsual &&
        (file < 0 || last.offset + last.size == offset)) {
      last.size += to - from;
      last.protection |= protection;
      return;
    }
  }
  if (work_.segments == kMaxSegments) return work_.fail("more than %u mappings", kMaxSegments);
  work_.segment[work_.segments++] = {from, to - from, offset, file, protection, Nature::kUsual, {}};
}

void Layout::add_empty(const Mapping& it, Nature nature) {
  add(it.from, it.to, kOfNothing, it.protection);
  if (!work_.failed()) work_.segment[work_.segments - 1].nature = nature;
}

int16_t Layout::find_file(const Mapping& it) {
  for (uint32_t i = 0; i < work_.files; i++) {
    if (strcmp(work_.file[i].path, it.path) == 0) return static_cast<int16_t>(i);
  }
  if (work_.files == kMaxFiles) {
    work_.fail("more than %u files are mapped", kMaxFiles);
    return -1;
  }
  Workspace::File& file = work_.file[work_.files];
  FileStatus status;
  file.fd = open(it.path, O_RDONLY | O_CLOEXEC);
  if (file.fd < 0 || look(file.fd, "", Follow::kYes, &status) != 0 || status.inode != it.inode) {
    work_.fail("%s is mapped, but it is another file by now", it.path);
    return -1;
  }
  char magic[sizeof kMagic];
  file.is_image = pread(file.fd, magic, sizeof magic, 0) == static_cast<ssize_t>(sizeof magic) &&
                  memcmp(magic, kMagic, sizeof magic) == 0;
  file.identity = identity(status);
  file.path = it.path;
  return static_cast<int16_t>(work_.files++);
}

void Layout::add_growable(uintptr_t at) {
  if (work_.growable_blocks == kMaxSegments)
    return work_.fail("more than %u large blocks of memory", kMaxSegments);
  work_.growable[work_.growable_blocks++] = at;
}

bool Layout::is_mapped(uint64_t address) const {
  for (uint32_t i = 0; i < work_.segments; i++) {
    if (address - work_.segment[i].address < work_.segment[i].size) return true;
  }
  return false;
}

void Layout::add_what_is_no_mapping() {
  const Tables& base = work_.content->base;
  for (uint32_t i = 0; base.at != nullptr && i < base.header().segments; i++) {
    const Segment& it = base.segments()[i];
    if (it.file == kBorder && is_mapped(it.address)) add_growable(static_cast<uintptr_t>(it.address));
  }
  if (work_.segments + work_.growable_blocks > kMaxSegments - kWrittenSegments)
    work_.fail("more than %u mappings", kMaxSegments - kWrittenSegments);
  if (work_.failed()) return;
  for (uint32_t i = 0; i < work_.growable_blocks; i++)
    work_.segment[work_.segments++] = {work_.growable[i], work_.page_size, 0, kBorder, 0, Nature::kUsual, {}};
  for (uint32_t i = 0; i < kWrittenSegments; i++)
    work_.segment[work_.segments++] = {0, 0, 0, kWritten, 0, Nature::kUsual, {}};
}

}  // namespace moonlet::image
