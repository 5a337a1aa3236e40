#include "image/sample.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::image {

namespace {

constexpr int kMostSegments = 32;
constexpr int kMostEntries = 64;  // of the dynamic section: DT_SYMTAB is among the first

// Names and contents of notes are padded to words.
constexpr uint64_t round_up(uint64_t size) { return (size + 3) & ~uint64_t{3}; }

// The part of a file that a launch can be told of: all but the fifth gigabyte of a library.
uint32_t as_offset(uint64_t offset) { return offset <= UINT32_MAX ? static_cast<uint32_t>(offset) : 0; }

class File {
 public:
  explicit File(int fd) : fd_(fd) {
    ElfW(Ehdr) header;
    if (!read(&header, sizeof header, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != kClass || header.e_phentsize != sizeof *segment_)
      return;
    const int count = header.e_phnum < kMostSegments ? header.e_phnum : kMostSegments;
    if (read(segment_, static_cast<size_t>(count) * sizeof *segment_, header.e_phoff)) segments_ = count;
  }

  // The offset of the note with the build id, or 0.
  [[nodiscard]] uint32_t build_id() const {
    for (int i = 0; i < segments_; i++) {
      const auto& it = segment_[i];
      if (it.p_type == PT_NOTE) {
        if (const uint32_t found = build_id_in(it.p_offset, it.p_offset + it.p_filesz)) return found;
      }
    }
    return 0;
  }

  // The offset of the dynamic symbols, or 0.
  [[nodiscard]] uint32_t symbols() const {
    for (int i = 0; i < segments_; i++) {
      if (segment_[i].p_type != PT_DYNAMIC) continue;
      ElfW(Dyn) entry = {};
      for (int at = 0; at < kMostEntries && entry.d_tag != DT_SYMTAB; at++) {
        if (!read(&entry, sizeof entry, segment_[i].p_offset + static_cast<size_t>(at) * sizeof entry) ||
            entry.d_tag == DT_NULL)
          return 0;
      }
      return entry.d_tag == DT_SYMTAB ? offset_of(entry.d_un.d_ptr) : 0;
    }
    return 0;
  }

 private:
  static constexpr int kClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

  bool read(void* to, size_t size, uint64_t offset) const {
    return pread(fd_, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  }

  [[nodiscard]] uint32_t build_id_in(uint64_t at, uint64_t end) const {
    ElfW(Nhdr) note;
    while (at < end && read(&note, sizeof note, at)) {
      char name[sizeof ELF_NOTE_GNU] = "";
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof name &&
          read(name, sizeof name, at + sizeof note) && memcmp(name, ELF_NOTE_GNU, sizeof name) == 0)
        return as_offset(at);
      at += sizeof note + round_up(note.n_namesz) + round_up(note.n_descsz);
    }
    return 0;
  }

  [[nodiscard]] uint32_t offset_of(uint64_t address) const {
    for (int i = 0; i < segments_; i++) {
      const auto& it = segment_[i];
      if (it.p_type == PT_LOAD && address - it.p_vaddr < it.p_filesz)
        return as_offset(it.p_offset + (address - it.p_vaddr));
    }
    return 0;
  }

  int fd_;
  int segments_ = 0;
  ElfW(Phdr) segment_[kMostSegments] = {};
};

}  // namespace

uint32_t find_sample(int fd) {
  const File file(fd);
  const uint32_t build_id = file.build_id();
  return build_id != 0 ? build_id : file.symbols();
}

}  // namespace moonlet::image
