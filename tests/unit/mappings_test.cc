// What a freeze reads of /proc.

#include "image/mappings.h"

#include "image/format.h"

#include <gtest/gtest.h>

#include <string>

namespace moonlet::image {
namespace {

constexpr char kMaps[] =
    "5811ff000-581200000 rw-p 00000000 00:00 0 \n"
    "581200000-58121a000 r-xp 00002000 fe:00 7085                            /usr/lib/a b.so (deleted)\n"
    "7ffd0f400000-7ffd0f421000 rw-s 00000000 00:01 4 [stack]\n";

TEST(Mappings, EachLineIsOne) {
  std::string text = kMaps;
  Mapping it;
  char* line = next_mapping(text.data(), it);
  ASSERT_NE(line, nullptr);
  EXPECT_EQ(it.from, 0x5811ff000U);
  EXPECT_EQ(it.to, 0x581200000U);
  EXPECT_EQ(it.protection, kRead | kWrite);
  EXPECT_FALSE(it.is_shared);
  EXPECT_EQ(it.inode, 0U);
  EXPECT_STREQ(it.path, "");
  line = next_mapping(line, it);
  EXPECT_EQ(it.protection, kRead | kExecute);
  EXPECT_EQ(it.offset, 0x2000U);
  EXPECT_EQ(it.inode, 7085U);
  EXPECT_STREQ(it.path, "/usr/lib/a b.so (deleted)");
  line = next_mapping(line, it);
  EXPECT_TRUE(it.is_shared);
  EXPECT_STREQ(it.path, "[stack]");
  EXPECT_EQ(next_mapping(line, it), nullptr);
}

TEST(Mappings, ALineThatIsCutShortIsNone) {
  Mapping it;
  const std::string whole = kMaps;
  for (size_t length = 0; length < whole.find('\n'); length++) {
    std::string text = whole.substr(0, length);
    EXPECT_EQ(next_mapping(text.data(), it), nullptr) << length;
  }
}

TEST(Mappings, TheFlagsAreThoseOfTheMappingThatIsAskedFor) {
  constexpr char kSmaps[] =
      "1000-2000 rw-p 00000000 00:00 0\nSize: 4 kB\nProtectionKey:         0\nVmFlags: rd wr mr mw me ac\n"
      "2000-3000 rw-p 00000000 00:00 0\nSize: 4 kB\nProtectionKey:         0\nVmFlags: rd wr wf dd\n"
      "3000-4000 rw-p 00000000 00:00 0\nSize: 4 kB\nProtectionKey:         5\nVmFlags: rd wr dp\n"
      "4000-5000 rw-p 00000000 00:00 0\nSize: 4 kB\nVmFlags: rd dc\n"
      "5000-6000 rw-p 00000000 00:00 0\nSize: 4 kB\n";
  EXPECT_EQ(find_flags(kSmaps, 0x1000).unfit, nullptr);
  EXPECT_FALSE(find_flags(kSmaps, 0x1000).wiped_on_fork);
  EXPECT_TRUE(find_flags(kSmaps, 0x2000).wiped_on_fork);
  EXPECT_TRUE(find_flags(kSmaps, 0x3000).droppable);
  EXPECT_STREQ(find_flags(kSmaps, 0x3000).unfit, "with a protection key");
  EXPECT_STREQ(find_flags(kSmaps, 0x4000).unfit, "that a fork does not copy");
  for (const uintptr_t from : {0x5000, 0x6000, 0x100, 0})
    EXPECT_EQ(find_flags(kSmaps, from).unfit, nullptr) << from;
}

TEST(Mappings, TheKernelsOwnTextCanBeRead) {
  static char text[1 << 20];
  ASSERT_GT(read_mappings("/proc/self/maps", text, sizeof text), 0);
  Mapping it;
  int count = 0;
  uintptr_t last = 0;
  for (char* line = text; (line = next_mapping(line, it)) != nullptr; count++) {
    EXPECT_LE(last, it.from);
    EXPECT_LT(it.from, it.to);
    last = it.to;
  }
  EXPECT_GT(count, 5);
  EXPECT_EQ(read_mappings("/proc/self/maps", text, 100), -1);
  EXPECT_EQ(read_mappings("/nonexistent", text, sizeof text), -1);
}

}  // namespace
}  // namespace moonlet::image
