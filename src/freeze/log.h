// Where questions are recorded: memory that the warm-up, its child processes and the tracer share. Each
// question stands in it once, with its first answer. No locks: whoever holds one might be killed.
#pragma once

#include "freeze/questions.h"
#include "image/format.h"

#include <stddef.h>
#include <stdint.h>

namespace moonlet::freeze::questions {

// Records that are no questions of an image.
constexpr auto kOwnFile = static_cast<image::Asked>(240);  // text: a path that the warm-up has made
constexpr auto kProblem = static_cast<image::Asked>(241);  // aux: Matter
constexpr auto kVoid = static_cast<image::Asked>(242);     // lost a race against the same question
// Whoever has asked all that stands before it, up to the one before. Text: a module, or nothing. aux: its
// number.
constexpr auto kAsker = static_cast<image::Asked>(243);

/// The text of a Matter::kClock, until it is known who has asked.
constexpr char kTheClock[] = "the clock";
constexpr char kGetrandom[] = "getrandom";

enum class TracerState : uint32_t { kUnknown, kAttached, kFiltering, kEachCall };

class Log {
 public:
  /// Maps a log; it has a copy of the array `environment`, which setenv(3) may change. Null: there is no
  /// memory.
  static Log* create(const Options& options, char** environment);
  void destroy();
  [[nodiscard]] Mapping mapping() const { return {reinterpret_cast<uintptr_t>(this), kMapped}; }

  /// Whether this has been asked before.
  [[nodiscard]] bool knows(image::Asked asked, uint32_t aux, const char* text, size_t length) const {
    return get(asked, aux, text, length) != nullptr;
  }
  /// The record of it; null: there is none.
  [[nodiscard]] const image::Question* get(image::Asked asked, uint32_t aux, const char* text,
                                           size_t length) const;
  /// Records it, unless it has been. `text` may hold zeroes.
  void add(image::Asked asked, uint32_t aux, const char* text, size_t length, uint64_t answer);
  /// Likewise.
  void add_problem(Matter matter, const char* text);
  /// What has been recorded since the last call was asked by the module `name`; "": by none.
  void add_asker(const char* name);
  /// As if it had never come. Whether it had.
  bool withdraw_problem(Matter matter, const char* text);

  /// Whether --ignore names this variable or this path.
  [[nodiscard]] bool ignores(const char* name, size_t length) const;
  [[nodiscard]] bool ignores_path(const char* path) const;

  /// Nothing is recorded any more.
  void close() {
    if (records_end_ == 0) records_end_ = used_;
  }

  /// Of a closed log: record after record, in the order in which they came. Null is before the first and behind
  /// the last. One that was never finished is a kBase.
  const image::Question* next(const image::Question* record);

  /// Memory that is zero, aligned to 8, for as long as the log lives. Null: it is full.
  void* allocate(size_t size);

  Options options;
  char** environment;   // what the process was started with
  char** again;         // with these arguments; null: no
  uint32_t state;       // TracerState, a futex
  uint32_t is_over;     // end()
  uint32_t has_failed;  // a question did not fit
  uint32_t askers;

 private:
  static constexpr size_t kSlots = 32768;
  static constexpr size_t kMapped = sizeof(void*) == 8 ? 64 << 20 : 16 << 20;

  // The slot of this record, or the empty one for it. Null: neither.
  uint32_t* find(image::Asked asked, uint32_t aux, const char* text, size_t length) const;
  [[nodiscard]] const image::Question* at(uint32_t offset) const {
    return reinterpret_cast<const image::Question*>(reinterpret_cast<const char*>(this) + offset);
  }

  // Bytes of the mapping. Around the records is what allocate() has given to others.
  uint32_t used_;
  uint32_t records_begin_;
  uint32_t records_end_;    // 0: it is not closed
  uint32_t slots_[kSlots];  // offsets of records; 0: empty
};

/// The log while the warm-up runs, in its own process and its children: null before begin() and after end().
extern constinit Log* recording;
/// The same from begin() to forget().
extern constinit Log* recorded;

}  // namespace moonlet::freeze::questions
