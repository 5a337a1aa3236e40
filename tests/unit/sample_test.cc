// By what two builds of a library are told apart where they lie elsewhere than at the freeze: in firmware.

#include "image/sample.h"

#include "image/answer.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace moonlet::image {
namespace {

// A file without a name.
class File {
 public:
  explicit File(const std::string& bytes) {
    char path[] = "/tmp/moonlet-sample.XXXXXX";
    fd_ = mkostemp(path, O_CLOEXEC);
    unlink(path);
    EXPECT_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(fd_); }

  [[nodiscard]] uint32_t sample() const { return find_sample(fd_); }
  [[nodiscard]] uint64_t identity(uint32_t sample) const {
    FileStatus status;
    EXPECT_EQ(look(fd_, "", Follow::kYes, &status), 0);
    return build_identity(fd_, status, sample);
  }
  [[nodiscard]] uint64_t identity() const { return identity(sample()); }

 private:
  int fd_;
};

constexpr size_t kNotes = 0x2000, kDynamic = 0x3000, kSymbols = 0x4000, kSize = 0x8000;  // offsets
constexpr size_t kMoved = 0x10000;  // how far addresses lie behind offsets

// A library with two notes, the second of which is its build id, and dynamic symbols.
class Library {
 public:
  std::string bytes = std::string(kSize, 'x');
  ElfW(Ehdr) header = {};
  std::vector<ElfW(Phdr)> segments = std::vector<ElfW(Phdr)>(3);
  std::vector<ElfW(Dyn)> dynamic = std::vector<ElfW(Dyn)>(3);
  static constexpr size_t kOther = sizeof(ElfW(Nhdr)) + 4 + 8;  // bytes of the first note
  static constexpr size_t kBuildId = kNotes + kOther;

  Library() {
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    header.e_phentsize = sizeof segments[0];
    header.e_phoff = sizeof header;
    segments[0].p_type = PT_LOAD;
    segments[0].p_vaddr = kMoved;
    segments[0].p_filesz = kSize;
    segments[1].p_type = PT_DYNAMIC;
    segments[1].p_offset = kDynamic;
    segments[2].p_type = PT_NOTE;
    segments[2].p_offset = kNotes;
    segments[2].p_filesz = kOther + sizeof(ElfW(Nhdr)) + 4 + 20;
    dynamic[0].d_tag = DT_SONAME;
    dynamic[1].d_tag = DT_SYMTAB;
    dynamic[1].d_un.d_ptr = kMoved + kSymbols;
    put_note(kNotes, NT_GNU_ABI_TAG, 7);  // padded to 8
    put_note(kBuildId, NT_GNU_BUILD_ID, 20);
  }

  void put_note(size_t at, ElfW(Word) type, ElfW(Word) size) {
    const ElfW(Nhdr) note = {4, size, type};
    put(at, &note, sizeof note);
    put(at + sizeof note, "GNU", 4);
  }

  // The file as it is by now.
  [[nodiscard]] const std::string& whole() {
    header.e_phnum = static_cast<ElfW(Half)>(segments.size());
    put(0, &header, sizeof header);
    put(sizeof header, segments.data(), segments.size() * sizeof segments[0]);
    put(kDynamic, dynamic.data(), dynamic.size() * sizeof dynamic[0]);
    return bytes;
  }

 private:
  void put(size_t at, const void* data, size_t size) { memcpy(bytes.data() + at, data, size); }
};

TEST(Sample, TheBuildIdIsLookedAtWhereThereIsOne) {
  EXPECT_EQ(File(Library().whole()).sample(), uint32_t{Library::kBuildId});
}

TEST(Sample, WithoutABuildIdTheSymbolsAre) {
  Library library;
  library.segments.pop_back();
  EXPECT_EQ(File(library.whole()).sample(), uint32_t{kSymbols});
  Library other;
  other.put_note(Library::kBuildId, NT_GNU_ABI_TAG, 20);
  EXPECT_EQ(File(other.whole()).sample(), uint32_t{kSymbols});
}

TEST(Sample, WithoutEitherTheBeginningIs) {
  void (*const kChanges[])(Library&) = {
      [](Library& it) { it.dynamic[1].d_tag = DT_NULL; },
      [](Library& it) { it.dynamic[1].d_un.d_ptr = 16; },  // in no segment
      [](Library& it) { it.dynamic[1].d_un.d_ptr = kMoved + kSize; },
      [](Library& it) { it.segments[1].p_type = PT_NULL; },
      [](Library& it) { it.segments[1].p_offset = kSize - 8; },
      [](Library& it) { it.dynamic.assign(100, {}), it.dynamic[99] = {}; },
      [](Library& it) { it.segments[0].p_filesz = 0; },
  };
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; i++) {
    Library library;
    library.segments.pop_back();
    kChanges[i](library);
    EXPECT_EQ(File(library.whole()).sample(), 0U) << i;
  }
}

TEST(Sample, WhatIsNoLibraryOfThisMachineHasItsBeginning) {
  EXPECT_EQ(File("").sample(), 0U);
  EXPECT_EQ(File("#!/bin/sh\n").sample(), 0U);
  EXPECT_EQ(File(Library().whole().substr(0, sizeof(ElfW(Ehdr)) + 8)).sample(), 0U);
  void (*const kChanges[])(Library&) = {
      [](Library& it) { it.header.e_ident[0] = 'x'; },
      [](Library& it) { it.header.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64; },
      [](Library& it) { it.header.e_phentsize++; },
      [](Library& it) { it.header.e_phoff = kSize; },
      [](Library& it) { it.header.e_phoff = ~ElfW(Off){0}; },
  };
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; i++) {
    Library library;
    kChanges[i](library);
    EXPECT_EQ(File(library.whole()).sample(), 0U) << i;
  }
}

TEST(Sample, NotesThatMakeNoSenseAreNone) {
  Library endless;
  endless.segments[2].p_filesz = static_cast<ElfW(Word)>(-1);
  endless.put_note(kNotes, 0, ~0U);
  endless.put_note(Library::kBuildId, 0, ~0U);
  EXPECT_EQ(File(endless.whole()).sample(), uint32_t{kSymbols});
  Library outside;
  outside.segments[2].p_offset = kSize + 8;
  EXPECT_EQ(File(outside.whole()).sample(), uint32_t{kSymbols});
}

TEST(Sample, ACopyIsTheSameBuild) {
  Library library;
  EXPECT_EQ(File(library.whole()).identity(), File(library.whole()).identity());
  EXPECT_NE(File(library.whole()).identity(), kNever);
}

TEST(Sample, AnotherBuildIdOrSizeIsAnotherBuild) {
  Library library;
  const uint64_t identity = File(library.whole()).identity();
  for (const size_t at : {Library::kBuildId + 16, Library::kBuildId + 35}) {
    std::string other = library.whole();
    other[at] ^= 1;
    EXPECT_NE(File(other).identity(), identity) << at;
  }
  EXPECT_NE(File(library.whole() + "x").identity(), identity);
  EXPECT_NE(File(library.whole().substr(0, kSize - 1)).identity(), identity);
}

TEST(Sample, WhereNothingCanBeReadIsNoBuild) {
  FileStatus status;
  ASSERT_EQ(look(AT_FDCWD, "/", Follow::kYes, &status), 0);
  const int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  EXPECT_EQ(build_identity(directory, status, 0), kNever);
  close(directory);
  // Behind the end there are no bytes, and those have a hash as well.
  EXPECT_NE(File("short").identity(4096), File("shorter").identity(4096));
}

}  // namespace
}  // namespace moonlet::image
