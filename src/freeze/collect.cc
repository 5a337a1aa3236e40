// Makes the questions of an image out of what was recorded: each file is compared once more, what says the same
// is left out, and names are put behind their directories, so that a launch asks as little as it can.

#include "freeze/directories.h"
#include "freeze/files.h"
#include "freeze/log.h"
#include "freeze/questions.h"
#include "image/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

using image::Asked;
using image::Question;

// Questions, one behind the other.
class Bytes {
 public:
  explicit Bytes(Log* log) : log_(log), begin_(static_cast<char*>(log->allocate(image::kMaxTables))) {}

  // Null: it is full.
  Question* add(Asked asked, uint64_t answer) {
    if (!has_room(sizeof(Question))) return nullptr;
    auto* question = reinterpret_cast<Question*>(begin_ + size_);
    question->asked = asked;
    question->answer = answer;
    size_ += sizeof *question;
    count_++;
    return question;
  }
  void add_text(const char* text, size_t length) {
    if (!has_room(length)) return;
    memcpy(begin_ + size_, text, length);
    size_ += static_cast<uint32_t>(length);
  }
  void end_text(Question* question) {
    size_ = (size_ + 1 + 7) / 8 * 8;  // all is zero here
    if (question != nullptr)
      question->size = static_cast<uint16_t>(behind() - reinterpret_cast<char*>(question));
  }
  void copy(const Question* question) {
    if (!has_room(question->size)) return;
    memcpy(behind(), question, question->size);
    size_ += question->size;
    count_++;
  }
  // All behind it so far belong to it.
  void close(Question* question) {
    if (question != nullptr)
      question->aux = static_cast<uint32_t>(behind() - reinterpret_cast<char*>(question) - question->size);
  }

  [[nodiscard]] const char* begin() const { return begin_; }
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] uint32_t count() const { return count_; }

 private:
  [[nodiscard]] char* behind() const { return begin_ + size_; }
  bool has_room(size_t size) {
    if (begin_ != nullptr && size + 8 <= image::kMaxTables - size_) return true;
    log_->has_failed = 1;
    return false;
  }

  Log* log_;
  char* begin_;
  uint32_t size_ = 0;
  uint32_t count_ = 0;
};

class Collector {
 public:
  explicit Collector(Log* log) : log_(log), bytes_(log), directories_(log) {}

  void sort(const Question* record) {
    const Asked asked = record->asked;
    if (asked == kProblem) return add_problem(static_cast<Matter>(record->aux), text_of(record));
    if (asked == kAsker) return attribute(text_of(record));
    if (asked == Asked::kBase || asked == kOwnFile || asked == kVoid) return;
    if (record->answer == image::kNever) add_problem(Matter::kHidden, text_of(record));
    if (asked == Asked::kContent) {
      let_time_pass();
      if (answer_now(record) != record->answer) add_problem(Matter::kNeverTheSame, text_of(record));
    }
    if (asked > Asked::kLastOfFiles) return bytes_.copy(record);
    if (!is_known_otherwise(record)) sort_file(record);
  }

  void write_files() {
    for (const Directory* each = directories_.first(); each != nullptr; each = each->next) write(*each);
  }

  Collected finish(bool traced) {
    if (log_->has_failed != 0) add_problem(Matter::kHidden, "more than fits into the log");
    return {bytes_.begin(), bytes_.size(), bytes_.count(), problems_, problem_count_, traced};
  }

 private:
  static constexpr uint32_t kMostProblems = 256;

  void add_problem(Matter matter, const char* text) {
    if (problems_ == nullptr)
      problems_ = static_cast<Problem*>(log_->allocate(kMostProblems * sizeof(Problem)));
    if (problems_ != nullptr && problem_count_ < kMostProblems)
      problems_[problem_count_++] = {matter, text, nullptr};
  }

  // All problems since the last call are this module's; "": no module's.
  void attribute(const char* module) {
    for (; attributed_ < problem_count_; attributed_++) {
      if (*module != '\0') problems_[attributed_].module = module;
    }
  }

  // Once: what counts ticks has another content then.
  void let_time_pass() {
    constexpr timespec kTwoTicks = {0, 20000000};
    if (!time_has_passed_) nanosleep(&kTwoTicks, nullptr);
    time_has_passed_ = true;
  }

  static uint64_t answer_now(const Question* record) {
    return image::answer(record->asked, record->aux, text_of(record), AT_FDCWD, nullptr);
  }

  // Whether a further question about the same path has an answer from which this one follows.
  bool is_known_otherwise(const Question* record) {
    const char* path = text_of(record);
    const Question* file = log_->get(Asked::kFile, 0, path, strlen(path));
    if (file == nullptr) return false;
    if (record->asked == Asked::kKind) return true;
    // Equal where it is no link.
    return record->asked == Asked::kLink && file->answer == record->answer && file->answer != image::kAbsent;
  }

  void sort_file(const Question* record) {
    const char* path = text_of(record);
    const size_t length = strlen(path);
    // A file that the warm-up has made itself need not be what it was before.
    const bool is_own = is_own_file(log_, path);
    if (!is_own && answer_now(record) != record->answer) add_problem(Matter::kChanged, path);
    const size_t missing = record->answer == image::kAbsent && !is_own ? first_missing(path) : 0;
    if (missing != 0) return directories_.add(path, missing, true, Asked::kFile, image::kAbsent);
    directories_.add(path, length, false, record->asked, record->answer);
  }

  void add_path(const Directory& directory) {
    bytes_.add_text(directory.path, directory.length);
    if (directory.length > 0 && directory.path[directory.length - 1] != '/') bytes_.add_text("/", 1);
  }

  void write(const Directory& directory, const Name* name, bool is_relative) {
    for (; name != nullptr; name = name->next) {
      Question* question = bytes_.add(name->asked, name->answer);
      if (!is_relative) add_path(directory);
      bytes_.add_text(name->text, name->length);
      bytes_.end_text(question);
    }
  }

  static constexpr size_t kLongest = 4096;

  // False: it has no name, or one that is too long.
  static bool copy_path(const Directory& directory, char (&path)[kLongest]) {
    if (directory.length == 0 || directory.length >= sizeof path) return false;
    memcpy(path, directory.path, directory.length);
    path[directory.length] = '\0';
    return true;
  }

  // A name with a slash behind it may be looked for where a file stands.
  static bool is_directory(const Directory& directory) {
    char path[kLongest];
    image::FileStatus status;
    return copy_path(directory, path) && image::look(AT_FDCWD, path, image::Follow::kYes, &status) == 0 &&
           S_ISDIR(status.mode);
  }

  // Whether all absent names can stand behind their directory. Its state, `identity`, is taken before they are
  // looked for once more: what appears later changes it.
  bool can_stand_for_absent(const Directory& directory, uint64_t* identity) {
    constexpr uint32_t kWorthIt = 2;
    char path[kLongest];
    if (directory.absent.count < kWorthIt || !copy_path(directory, path)) return false;
    *identity = image::identity(AT_FDCWD, path, image::Follow::kYes);
    if (!tells_changes(AT_FDCWD, path)) return false;
    const int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool are_absent = fd >= 0;
    for (const Name* name = directory.absent.first; are_absent && name != nullptr; name = name->next) {
      char text[kLongest];
      memcpy(text, name->text, name->length);
      text[name->length] = '\0';
      image::FileStatus status;
      are_absent = image::look(fd, text, image::Follow::kNo, &status) == ENOENT;
      if (!are_absent) add_problem(Matter::kChanged, name->text);
    }
    close(fd);
    return are_absent;
  }

  void write(const Directory& directory) {
    uint64_t identity = 0;
    const bool has_group = can_stand_for_absent(directory, &identity);
    // To open and close a directory costs as much as five names are asked faster in it; its own identity counts
    // for two.
    const uint32_t gains = directory.present.count + (has_group ? 2 : directory.absent.count);
    const bool has_base = gains >= 6 && is_directory(directory);
    Question* base = nullptr;
    if (has_base) {
      base = bytes_.add(Asked::kBase, 0);
      bytes_.add_text(directory.path, directory.length);
      bytes_.end_text(base);
    }
    write(directory, directory.present.first, has_base);
    Question* group = nullptr;
    if (has_group) {
      group = bytes_.add(Asked::kDirectory, identity);
      if (!has_base) bytes_.add_text(directory.path, directory.length);
      bytes_.end_text(group);
    }
    write(directory, directory.absent.first, has_base);
    bytes_.close(group);
    bytes_.close(base);
  }

  Log* log_;
  Bytes bytes_;
  Directories directories_;
  Problem* problems_ = nullptr;
  uint32_t problem_count_ = 0;
  uint32_t attributed_ = 0;  // of them
  bool time_has_passed_ = false;
};

}  // namespace

Collected collect() {
  Log* log = recorded;
  log->close();
  Collector collector(log);
  for (const Question* record = nullptr; (record = log->next(record)) != nullptr;) collector.sort(record);
  collector.write_files();
  return collector.finish(log->state == static_cast<uint32_t>(TracerState::kFiltering) ||
                          log->state == static_cast<uint32_t>(TracerState::kEachCall));
}

}  // namespace moonlet::freeze::questions
