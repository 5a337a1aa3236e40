// What a launch asks of the world: that it sees each difference, and nothing else.

#include "image/ask.h"

#include "image/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace moonlet::image {
namespace {

// Questions, as a freeze writes them.
class Questions {
 public:
  size_t add(Asked asked, const std::string& text, uint32_t aux, uint64_t answer) {
    const size_t size = (sizeof(Question) + text.size() + 2 + 7) / 8 * 8;
    const size_t at = bytes_.size() * 8;
    bytes_.resize(bytes_.size() + size / 8);
    auto* question = reinterpret_cast<Question*>(data() + at);
    *question = {static_cast<uint16_t>(size), asked, 0, aux, answer};
    memcpy(data() + at + sizeof *question, text.data(), text.size());
    return at;
  }
  // With the answer of now.
  size_t ask(Asked asked, const std::string& text = "", uint32_t aux = 0) {
    std::string zeroes = text + std::string(2, '\0');
    return add(asked, text, aux, answer(asked, aux, zeroes.c_str(), AT_FDCWD, environ));
  }
  void variable(const std::string& text) {
    add(Asked::kVariable, text,
        static_cast<uint32_t>(text.find('=') < text.size() ? text.find('=') : text.size()), 0);
  }
  // All that follow are those that question `at` holds.
  void close(size_t at) {
    auto* question = reinterpret_cast<Question*>(data() + at);
    question->aux = static_cast<uint32_t>(size() - at - question->size);
  }

  char* data() { return reinterpret_cast<char*>(bytes_.data()); }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(bytes_.size() * 8); }

  // What differs, in words; nothing: nothing does.
  std::string difference(Which which = Which::kAll) {
    const Difference found = first_that_differs(data(), size(), environ, which);
    if (found.question == nullptr) return "";
    char words[256];
    describe(found, words, sizeof words);
    return words;
  }

 private:
  std::vector<uint64_t> bytes_;
};

class AskTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ask_test.XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory = name;
  }
  void TearDown() override { ASSERT_EQ(system(("rm -rf " + directory).c_str()), 0); }

  [[nodiscard]] std::string path(const char* name) const { return directory + "/" + name; }
  std::string write(const char* name, const char* text) {
    const int fd = open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EXPECT_EQ(::write(fd, text, strlen(text)), static_cast<ssize_t>(strlen(text)));
    close(fd);
    return path(name);
  }
  // Until the clock that files' times come from has moved on.
  void wait_a_tick() const {
    const std::string clock = path("clock");
    FileStatus first = {}, then = {};
    do {
      unlink(clock.c_str());
      close(open(clock.c_str(), O_WRONLY | O_CREAT, 0644));
      ASSERT_EQ(look(AT_FDCWD, clock.c_str(), Follow::kYes, &then), 0);
      if (first.mask == 0) first = then;
    } while (then.changed.nanoseconds == first.changed.nanoseconds);
    unlink(path("clock").c_str());
  }

  std::string directory;
  Questions questions;
};

TEST_F(AskTest, NothingDiffersWhereNothingHasChanged) {
  write("file", "1");
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  setenv("ASK_TEST", "value", 1);
  unsetenv("ASK_TEST_NONE");
  for (const Asked asked : {Asked::kFile, Asked::kLink, Asked::kKind, Asked::kTarget}) {
    for (const char* name : {"file", "link", "none", "file/none", ""}) questions.ask(asked, path(name));
  }
  questions.ask(Asked::kFile, "/dev/null");
  questions.ask(Asked::kContent, "/proc/sys/kernel/ostype");
  questions.variable("ASK_TEST=value");
  questions.variable("ASK_TEST_NONE");
  questions.ask(Asked::kVariables, "LD_");
  questions.ask(Asked::kVariables, "");
  for (uint32_t fd = 0; fd < 4; fd++) questions.ask(Asked::kTerminal, "", fd | kWindowSize | kSettings);
  for (const Asked asked :
       {Asked::kWorkingDirectory, Asked::kUser, Asked::kHost, Asked::kProcessors, Asked::kLimit})
    questions.ask(asked);
  EXPECT_EQ(questions.difference(), "");
}

TEST_F(AskTest, AFileThatWasWrittenToDiffers) {
  const std::string file = write("file", "1");
  questions.ask(Asked::kFile, file);
  wait_a_tick();
  write("file", "2");
  EXPECT_EQ(questions.difference(), file + " has changed");
}

TEST_F(AskTest, AFileThatIsReplacedByOneOfTheSameSizeAndTimesDiffers) {
  const std::string file = write("file", "1");
  FileStatus was;
  ASSERT_EQ(look(AT_FDCWD, file.c_str(), Follow::kYes, &was), 0);
  questions.ask(Asked::kFile, file);
  const std::string other = write("other", "2");
  const timespec times[2] = {
      {0, UTIME_OMIT},
      {static_cast<time_t>(was.modified.seconds), static_cast<long>(was.modified.nanoseconds)}};
  ASSERT_EQ(utimensat(AT_FDCWD, other.c_str(), times, 0), 0);
  ASSERT_EQ(rename(other.c_str(), file.c_str()), 0);
  EXPECT_EQ(questions.difference(), file + " has changed");
}

TEST_F(AskTest, AFileThatIsGoneDiffers) {
  const std::string file = write("file", "1");
  questions.ask(Asked::kFile, file);
  unlink(file.c_str());
  EXPECT_EQ(questions.difference(), file + " has changed");
}

TEST_F(AskTest, AFileThatAppearsDiffers) {
  questions.ask(Asked::kFile, path("file"));
  EXPECT_EQ(questions.difference(), "");
  write("file", "1");
  EXPECT_EQ(questions.difference(), path("file") + " is there now");
}

TEST_F(AskTest, ALinkThatLeadsElsewhereDiffers) {
  write("file", "1");
  ASSERT_EQ(symlink("file", path("link").c_str()), 0);
  questions.ask(Asked::kFile, path("link"));
  Questions itself;
  itself.ask(Asked::kTarget, path("link"));
  write("other", "1");
  ASSERT_EQ(symlink("other", path("new").c_str()), 0);
  ASSERT_EQ(rename(path("new").c_str(), path("link").c_str()), 0);
  EXPECT_EQ(questions.difference(), path("link") + " has changed");
  EXPECT_EQ(itself.difference(), path("link") + " has changed");
}

TEST_F(AskTest, WhatIsInAFileDoesNotMatterToOneWhoAskedWhetherItIsThere) {
  const std::string file = write("file", "1");
  questions.ask(Asked::kKind, file);
  wait_a_tick();
  write("file", "2");
  EXPECT_EQ(questions.difference(), "");
  chmod(file.c_str(), 0600);
  EXPECT_EQ(questions.difference(), file + " has changed");
}

// The absent names of a directory.
class AbsentNamesTest : public AskTest {
 protected:
  void SetUp() override {
    AskTest::SetUp();
    const size_t group = questions.ask(Asked::kDirectory, directory);
    questions.add(Asked::kFile, path("a.lua"), 0, kAbsent);
    questions.add(Asked::kFile, path("b.lua"), 0, kAbsent);
    questions.close(group);
    wait_a_tick();
  }
};

TEST_F(AbsentNamesTest, AreNotAskedWhileTheirDirectoryIsTheSame) {
  reinterpret_cast<Question*>(questions.data())[0].answer = identity(AT_FDCWD, directory.c_str(), Follow::kYes);
  // Would differ if it were asked.
  const size_t inner = reinterpret_cast<Question*>(questions.data())->size;
  reinterpret_cast<Question*>(questions.data() + inner)->answer = 1;
  EXPECT_EQ(questions.difference(), "");
}

TEST_F(AbsentNamesTest, AnEditorsSwapFileDoesNotMatter) {
  write(".c.lua.swp", "");
  EXPECT_EQ(questions.difference(), "");
}

TEST_F(AbsentNamesTest, OneThatAppearsDiffers) {
  write("b.lua", "");
  EXPECT_EQ(questions.difference(), path("b.lua") + " is there now");
}

TEST_F(AskTest, NamesRelativeToABaseAreAskedThereAndOnlyThere) {
  write("file", "1");
  const size_t base = questions.add(Asked::kBase, directory, 0, 0);
  questions.add(Asked::kFile, "file", 0, identity(AT_FDCWD, path("file").c_str(), Follow::kYes));
  const size_t group =
      questions.add(Asked::kDirectory, "", 0, identity(AT_FDCWD, directory.c_str(), Follow::kYes));
  questions.add(Asked::kFile, "none", 0, kAbsent);
  questions.close(group);
  questions.close(base);
  questions.ask(Asked::kFile, "file");  // in the working directory: not there
  questions.ask(Asked::kFile, path("file"));
  const int next = dup(0);
  close(next);
  EXPECT_EQ(questions.difference(), "");
  wait_a_tick();
  write("none", "");
  EXPECT_EQ(questions.difference(), path("none") + " is there now");
  const int then = dup(0);
  close(then);
  EXPECT_EQ(then, next) << "a descriptor is left open";
}

TEST_F(AskTest, ABaseThatIsGoneDiffers) {
  const size_t base = questions.add(Asked::kBase, path("directory"), 0, 0);
  questions.add(Asked::kFile, "file", 0, kAbsent);
  questions.close(base);
  EXPECT_EQ(questions.difference(), path("directory") + " has changed");
}

TEST_F(AskTest, FilesAreLeftOutWhereTheyAreTrusted) {
  questions.add(Asked::kFile, "/", 0, 1);
  const size_t base = questions.add(Asked::kBase, path("none"), 0, 0);
  questions.add(Asked::kFile, "file", 0, 1);
  questions.close(base);
  EXPECT_EQ(questions.difference(Which::kNoFiles), "");
  questions.variable("ASK_TEST=other");
  EXPECT_EQ(questions.difference(Which::kNoFiles), "ASK_TEST differs from the image's");
}

TEST_F(AskTest, AVariableWithAnotherValueDiffers) {
  questions.variable("ASK_TEST=value");
  questions.variable("ASK_TEST_NONE");
  unsetenv("ASK_TEST_NONE");
  for (const char* value : {"value", "valu", "values", "", "value=value"}) {
    setenv("ASK_TEST", value, 1);
    EXPECT_EQ(questions.difference(), strcmp(value, "value") == 0 ? "" : "ASK_TEST differs from the image's")
        << value;
  }
  unsetenv("ASK_TEST");
  EXPECT_EQ(questions.difference(), "ASK_TEST differs from the image's");
  setenv("ASK_TEST", "value", 1);
  setenv("ASK_TEST_NONE", "", 1);
  EXPECT_EQ(questions.difference(), "ASK_TEST_NONE differs from the image's");
}

TEST_F(AskTest, OfAVariableThatIsSetTwiceTheFirstCounts) {
  char first[] = "A=1", second[] = "A=2", longer[] = "AB=1", bad[] = "A";
  char* once[] = {bad, longer, first, second, nullptr};
  char* other[] = {bad, longer, second, first, nullptr};
  questions.variable("A=1");
  EXPECT_EQ(first_that_differs(questions.data(), questions.size(), once, Which::kAll).question, nullptr);
  EXPECT_NE(first_that_differs(questions.data(), questions.size(), other, Which::kAll).question, nullptr);
}

TEST_F(AskTest, VariablesWithABeginningAreComparedExceptThoseLeftOut) {
  questions.ask(Asked::kVariables, "ASK_");
  Questions all;
  all.ask(Asked::kVariables, std::string("\0_=\0ASK_", 8));
  setenv("_", "elsewhere", 1);
  EXPECT_EQ(all.difference(), "");
  setenv("ASK_ANOTHER", "1", 1);
  EXPECT_EQ(questions.difference(), "ASK_* differs from the image's");
  EXPECT_EQ(all.difference(), "");
  unsetenv("ASK_ANOTHER");
  setenv("BASK_", "1", 1);
  EXPECT_EQ(questions.difference(), "");
  EXPECT_EQ(all.difference(), "the environment differs from the image's");
  unsetenv("BASK_");
}

TEST_F(AskTest, ATerminalIsToldFromAFile) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  const int fd = open("/dev/null", O_RDWR);
  questions.ask(Asked::kTerminal, "", static_cast<uint32_t>(fd));
  EXPECT_EQ(questions.difference(), "");
  dup2(terminal, fd);
  EXPECT_EQ(questions.difference(), "a descriptor is another terminal");
  close(fd);
  close(terminal);
}

TEST_F(AskTest, ATerminalOfAnotherSizeDiffersForOneWhoAskedForIt) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  Questions with_size;
  questions.ask(Asked::kTerminal, "", static_cast<uint32_t>(terminal));
  with_size.ask(Asked::kTerminal, "", static_cast<uint32_t>(terminal) | kWindowSize);
  struct winsize size = {50, 132, 0, 0};
  ASSERT_EQ(ioctl(terminal, TIOCSWINSZ, &size), 0);
  EXPECT_EQ(questions.difference(), "");
  EXPECT_EQ(with_size.difference(), "a descriptor is another terminal");
  close(terminal);
}

TEST_F(AskTest, AnotherWorkingDirectoryDiffers) {
  char was[4096];
  ASSERT_NE(getcwd(was, sizeof was), nullptr);
  questions.ask(Asked::kWorkingDirectory);
  ASSERT_EQ(chdir(directory.c_str()), 0);
  EXPECT_EQ(questions.difference(), "the working directory is another");
  ASSERT_EQ(chdir(was), 0);
}

TEST_F(AskTest, ARelativePathIsAskedInTheLaunchsDirectory) {
  char was[4096];
  ASSERT_NE(getcwd(was, sizeof was), nullptr);
  questions.ask(Asked::kFile, "./file");
  write("file", "1");
  ASSERT_EQ(chdir(directory.c_str()), 0);
  EXPECT_EQ(questions.difference(), "./file is there now");
  ASSERT_EQ(chdir(was), 0);
}

TEST_F(AskTest, WhatTheSystemDoesNotTellDiffers) {
  questions.add(Asked::kFile, "/", 0, kNever);
  EXPECT_NE(questions.difference(), "");
  Questions endless;
  endless.ask(Asked::kContent, "/dev/zero");
  EXPECT_EQ(endless.difference(), "/dev/zero has changed");
}

TEST_F(AskTest, WordsAreShortenedToTheirRoom) {
  questions.add(Asked::kFile, "/dev/null", 0, 1);
  const Difference found = first_that_differs(questions.data(), questions.size(), environ, Which::kAll);
  char words[8] = "*******";
  describe(found, words, 6);
  EXPECT_STREQ(words, "/dev/");
  EXPECT_EQ(words[6], '*');
}

// Bytes from outside, right before a page that cannot be read.
class DamagedQuestionsTest : public AskTest {
 protected:
  static constexpr const char* kDamaged = "the image's questions are damaged";

  void SetUp() override {
    AskTest::SetUp();
    page = static_cast<char*>(
        mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(page, MAP_FAILED);
    ASSERT_EQ(mprotect(page + kPage, kPage, PROT_NONE), 0);
  }
  void TearDown() override {
    munmap(page, 2 * kPage);
    AskTest::TearDown();
  }

  static std::string ask(const char* bytes, uint32_t size) {
    const Difference found = first_that_differs(bytes, size, environ, Which::kAll);
    if (found.question == nullptr) return "";
    char words[256];
    describe(found, words, sizeof words);
    return words;
  }
  std::string ask(Questions& from, uint32_t size) {
    char* at = page + kPage - (size + 7) / 8 * 8;
    memcpy(at, from.data(), size);
    return ask(at, size);
  }

  static constexpr size_t kPage = 65536;
  char* page = nullptr;
};

TEST_F(DamagedQuestionsTest, DifferWhereverTheyAreCut) {
  const size_t group = questions.ask(Asked::kDirectory, "/");
  questions.add(Asked::kFile, "/none", 0, kAbsent);
  questions.close(group);
  EXPECT_EQ(ask(questions, questions.size()), "");
  for (uint32_t size = 1; size < questions.size(); size++) EXPECT_EQ(ask(questions, size), kDamaged) << size;
}

TEST_F(DamagedQuestionsTest, DifferWhateverSizeTheyClaim) {
  questions.ask(Asked::kFile, "/");
  auto* question = reinterpret_cast<Question*>(questions.data());
  for (unsigned size = 0; size < 65536; size++) {
    if (size == questions.size()) continue;
    question->size = static_cast<uint16_t>(size);
    ASSERT_EQ(ask(questions, questions.size()), kDamaged) << size;
  }
}

TEST_F(DamagedQuestionsTest, DifferWithoutTheEndOfTheirText) {
  questions.ask(Asked::kFile, "/");
  questions.data()[questions.size() - 1] = 'x';
  EXPECT_EQ(ask(questions, questions.size()), kDamaged);
}

TEST_F(DamagedQuestionsTest, DifferWhereTheyReachBeyondTheEnd) {
  for (const Asked asked : {Asked::kBase, Asked::kDirectory}) {
    for (const uint32_t aux : {1U, 8U, 0x80000000U, 0xfffffff8U}) {
      Questions some;
      const size_t at = some.ask(asked, "/");
      reinterpret_cast<Question*>(some.data() + at)->aux = aux;
      EXPECT_EQ(ask(some, some.size()), kDamaged) << aux;
    }
  }
  for (const uint32_t aux : {4U, 8U, 9U, 0xffffffffU}) {  // four: an entry would be read behind its end
    Questions some;
    some.add(Asked::kVariable, "A=1", aux, 0);
    EXPECT_EQ(ask(some, some.size()), kDamaged) << aux;
  }
  Questions unending;
  unending.add(Asked::kVariables, "ABCDEF", 0, 0);
  unending.data()[unending.size() - 2] = 'G';
  EXPECT_EQ(ask(unending, unending.size()), kDamaged);
}

TEST_F(DamagedQuestionsTest, DifferWhereTheyAreOfNoKind) {
  for (unsigned asked = static_cast<unsigned>(Asked::kLimit) + 1; asked < 256; asked++) {
    Questions some;
    some.add(static_cast<Asked>(asked), "", 0, kNever);
    EXPECT_EQ(ask(some, some.size()), kDamaged);
  }
}

TEST_F(DamagedQuestionsTest, AreNeverReadOutOfBoundsWhateverIsInThem) {
  unsigned random = 1;
  for (int round = 0; round < 20000; round++) {
    Questions some;
    const size_t base = some.ask(Asked::kBase, "/");
    const size_t group = some.ask(Asked::kDirectory, "");
    some.add(Asked::kFile, "none", 0, kAbsent);
    some.close(group);
    some.close(base);
    some.variable("HOME=/");
    some.ask(Asked::kVariables, "LD_");
    for (int i = 0; i < 3; i++) {
      random = random * 1664525 + 1013904223;
      some.data()[(random >> 8) % some.size()] = static_cast<char>(random >> 24);
    }
    ask(some, some.size());  // what it says does not matter
  }
}

TEST(Processor, IsTheSameInOneProcessAndAnotherWithOtherCapabilities) {
  char platform[] = "one", same[] = "one", other[] = "two";
  const auto of = [](const char* name, unsigned long capabilities, unsigned long base) {
    const AuxiliaryEntry vector[] = {{AT_PLATFORM, reinterpret_cast<unsigned long>(name)},
                                     {AT_HWCAP, capabilities},
                                     {AT_BASE, base},  // of the loader: another one in each process
                                     {AT_NULL, 0}};
    return hash_processor(vector);
  };
  EXPECT_EQ(of(platform, 1, 1), of(same, 1, 2));
  EXPECT_NE(of(platform, 1, 1), of(other, 1, 1));
  EXPECT_NE(of(platform, 1, 1), of(platform, 2, 1));
}

}  // namespace
}  // namespace moonlet::image
