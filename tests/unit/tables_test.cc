// What a launch believes of an image before it maps anything.

#include "image/tables.h"

#include "image/window.h"

#include <gtest/gtest.h>
#include <string.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace moonlet::image {
namespace {

constexpr Expected kExpected = {504, 4096, kBuild, 42};
constexpr uint64_t kPage = 4096;
constexpr uint64_t kLow = kLowestEnd - 64 * kPage;

// An image with one library, in memory of just its size.
class Image {
 public:
  Header header = {};
  std::vector<Segment> segments = {
      {kLow, kPage, kPage, kOfImage, kRead | kWrite, Nature::kUsual},
      {kLow + kPage, 4 * kPage, 0, 0, kRead | kExecute, Nature::kUsual},
      {kLow + 5 * kPage, 2 * kPage, 2 * kPage, kOfImage, kRead, Nature::kUsual},
      {kLow + 7 * kPage, kPage, 0, kOfNothing, kRead | kWrite, Nature::kWipedOnFork},
      {kLow, kPage, 0, kWritten, 0, Nature::kUsual},
      {0, 0, 0, kWritten, 0, Nature::kUsual}};
  std::vector<uint64_t> patches = {
      patch_of(kLow, 1), 1, patch_of(kLow + kPage - 16, 2), 2, 3, patch_of(kLow + 7 * kPage + 8, 1), 4};
  std::string texts = std::string("/lib/libc.so\0\0\0\0", 16);
  FileStatus status = {};

  Image() {
    memcpy(header.magic, kMagic, sizeof kMagic);
    header.format = kFormat;
    header.lua = kExpected.lua;
    header.page_size = kExpected.page_size;
    header.build = kExpected.build;
    header.processor = kExpected.processor;
    header.entry = kLow + kPage + 16;
    header.files = 1;
    header.file_size = status.size = 4 * kPage;
    header.made_seconds = status.modified.seconds = 1700000000;
    header.made_nanoseconds = status.modified.nanoseconds = 5;
    header.segments = static_cast<uint32_t>(segments.size());
    header.patches = static_cast<uint32_t>(patches.size());
    header.questions = static_cast<uint32_t>(sizeof header + segments.size() * sizeof(Segment) + sizeof file +
                                             patches.size() * sizeof(uint64_t));
    header.tables_size = header.questions + texts.size();
    file.path = header.questions;
  }

  MappedFile file = {};

  // "" if nothing is wrong.
  std::string problem(const std::function<void(Header&)>& with_wrong_checksum = nullptr) {
    if (const char* its = judge_header(header, status, kExpected)) return its;
    const size_t size = header.tables_size;
    auto bytes = std::make_unique<uint64_t[]>((size + 7) / 8);
    char* at = reinterpret_cast<char*>(bytes.get());
    const auto append = [&at](const void* data, size_t length) {
      memcpy(at, data, length);
      at += length;
    };
    append(&header, sizeof header);
    append(segments.data(), segments.size() * sizeof(Segment));
    append(&file, sizeof file);
    append(patches.data(), patches.size() * sizeof(uint64_t));
    append(texts.data(), texts.size());
    auto* const its = reinterpret_cast<Header*>(bytes.get());
    its->checksum = checksum_of(*its);
    if (with_wrong_checksum) with_wrong_checksum(*its);
    const char* problem = judge_tables({reinterpret_cast<const char*>(bytes.get())});
    return problem != nullptr ? problem : "";
  }
};

constexpr char kDamaged[] = "is damaged";

TEST(Tables, AnImageAsAFreezeMakesItIsBelieved) { EXPECT_EQ(Image().problem(), ""); }

TEST(Tables, AnImageOfSomethingElseIsNamed) {
  const struct {
    const char* problem;
    void (*change)(Header&);
  } kCases[] = {
      {"is no image", [](Header& it) { it.magic[0] = 'M'; }},
      {"was made by another build of moonlet", [](Header& it) { it.format++; }},
      {"was made by another build of moonlet", [](Header& it) { it.build++; }},
      {"is of another Lua", [](Header& it) { it.lua++; }},
      {"was made on another processor", [](Header& it) { it.page_size *= 2; }},
      {"was made on another processor", [](Header& it) { it.processor++; }},
      {"has been changed", [](Header& it) { it.made_seconds--; }},
      {"has been changed", [](Header& it) { it.made_nanoseconds++; }},
      {kDamaged, [](Header& it) { it.file_size++; }},
      {kDamaged, [](Header& it) { it.tables_size = sizeof it - 1; }},
      {kDamaged, [](Header& it) { it.tables_size = it.file_size + 1; }},
      {kDamaged, [](Header& it) { it.tables_size = ~uint64_t{0}; }},
  };
  for (const auto& it : kCases) {
    Image image;
    it.change(image.header);
    EXPECT_EQ(image.problem(), it.problem);
  }
}

TEST(Tables, AnImageThatIsTrustedMayHaveAnyTime) {
  Image image;
  image.header.flags = kTrusted;
  image.header.made_seconds--;
  EXPECT_EQ(image.problem(), "");
}

TEST(Tables, TheChecksumCoversAllBehindItself) {
  // All but the size, which is how much a launch has read.
  for (size_t at = offsetof(Header, file_size); at < sizeof(Header); at++) {
    Image image;
    EXPECT_EQ(image.problem([at](Header& it) { reinterpret_cast<char*>(&it)[at] ^= 1; }), kDamaged) << at;
  }
}

TEST(Tables, SegmentsThatCouldNotBeMappedAreDamage) {
  void (*const kChanges[])(Image&) = {
      [](Image& it) { it.segments[0].address = 0x400000; },
      [](Image& it) { it.segments[3].address = kHighestEnd; },
      [](Image& it) { it.segments[0].address += 8; },
      [](Image& it) { it.segments[0].size = 0; },
      [](Image& it) { it.segments[0].size = ~(kPage - 1); },
      [](Image& it) { it.segments[0].size += kPage; },
      [](Image& it) { it.segments[2].offset = 3 * kPage; },
      [](Image& it) { it.segments[2].offset = ~(kPage - 1); },
      [](Image& it) { it.segments[1].file = 1; },
      [](Image& it) { it.segments[1].file = kBorder - 1; },
      [](Image& it) { it.segments[1].protection = kRead; },
      [](Image& it) { it.segments[1].protection = 8 | kExecute; },
      [](Image& it) { it.segments[3].nature = static_cast<Nature>(3); },
      [](Image& it) { it.segments[4].address = 0; },
      [](Image& it) { it.header.entry = kLow; },
      [](Image& it) { it.header.segments = 0; },
  };
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; i++) {
    Image image;
    kChanges[i](image);
    EXPECT_EQ(image.problem(), kDamaged) << i;
  }
}

TEST(Tables, PatchesOfWhatCannotBeWrittenAreDamage) {
  void (*const kChanges[])(Image&) = {
      [](Image& it) { it.patches[0] = patch_of(kLow + 4, 1); },
      [](Image& it) { it.patches[0] = patch_of(kLow - 8, 1); },
      [](Image& it) { it.patches[0] = patch_of(0, 1); },
      [](Image& it) { it.patches[0] = patch_of(kLow, 0); },
      [](Image& it) { it.patches[2] = patch_of(kLow + kPage - 8, 2); },
      [](Image& it) { it.patches[2] = patch_of(kLow + kPage, 2); },
      [](Image& it) { it.patches[2] = patch_of(kLow + 5 * kPage, 2); },
      [](Image& it) { it.patches[5] = patch_of(kLow + 8 * kPage, 1); },
      [](Image& it) { it.patches[5] = patch_of(kLow + 7 * kPage, 2); },
      [](Image& it) { it.patches[0] = patch_of(kLow + 7 * kPage, 1); },
      [](Image& it) { it.patches[0] = patch_of((uint64_t{1} << 48) - 8, 1); },
      [](Image& it) { it.patches[5] = ~uint64_t{0}; },
      [](Image& it) { it.header.patches--; },
      [](Image& it) { it.header.patches++; },
      [](Image& it) { it.header.patches = kMostPatches + 1; },
      [](Image& it) { it.header.patches = ~0U; },
  };
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; i++) {
    Image image;
    kChanges[i](image);
    EXPECT_EQ(image.problem(), kDamaged) << i;
  }
}

TEST(Tables, WhatLiesOutsideOfTheTablesIsDamage) {
  void (*const kChanges[])(Image&) = {
      [](Image& it) { it.header.segments = kMaxSegments + 1; },
      [](Image& it) { it.header.segments = ~0U; },
      [](Image& it) { it.header.files = 2; },
      [](Image& it) { it.header.files = ~0U; },
      [](Image& it) { it.header.questions -= 8; },
      [](Image& it) { it.header.questions += 4; },
      [](Image& it) { it.header.questions = ~7U; },
      [](Image& it) { it.header.questions_size = 16; },
      [](Image& it) { it.header.questions_size = ~7U; },
      [](Image& it) { it.file.path -= 1; },
      [](Image& it) { it.file.path = static_cast<uint32_t>(it.header.tables_size); },
      [](Image& it) { it.texts.back() = 'x'; },
  };
  for (size_t i = 0; i < sizeof kChanges / sizeof *kChanges; i++) {
    Image image;
    kChanges[i](image);
    EXPECT_EQ(image.problem(), kDamaged) << i;
  }
}

}  // namespace
}  // namespace moonlet::image
