// The questions of a warm-up: what it asks of the world while it runs, and the answers that it got. An image is
// right only where the warm-up, run now, would do the same. Two ways to see them share one log:
// - A tracer, the process' parent, sees the system calls, libc's and those of child processes too (tracer.h).
// - Functions in front of libc's see what no system call shows, the environment above all (interposed.h). They
//   look at files too where nobody may be traced.
//
//     begin(options);  // early in main. What the caller has set in environ for itself is gone by then
//     ... the warm-up runs ...
//     end();
//     const Collected all = collect();  // a Problem may say that there can be no image
//     ... all.bytes is copied into the image ...
//     forget();  // the log's mapping is gone. From now on, and in each launch, all functions forward at once
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace moonlet::freeze::questions {

enum class Tracing : uint8_t {
  kAsPossible,
  kEachCall,  // without a seccomp filter, as on kernels that have none
  kNone,      // in one process, as where ptrace(2) is forbidden
};

struct Options {
  const char* const* ignored =
      nullptr;  // --ignore: variables' names, and paths, which stand for all below them too
  size_t ignored_count = 0;
  bool trust = false;  // --trust: no questions about files
  Tracing tracing = Tracing::kAsPossible;
};

/// Starts to record. Forks: what returns is the child, the calling process becomes its tracer and ends as the
/// child ends, with its exit status or of its signal. Where it may not trace, the calling process itself
/// returns. No descriptor more is open then. The strings in `options` have to stay. Ends the process with a
/// message if there is no memory for the log.
void begin(const Options& options);

/// What has asked for the time or for random numbers so far is Lua itself, which seeds its generator and its
/// hashes with it.
void forgive_seed();

/// The warm-up has returned.
void end();

/// What has been asked since the last call, or since begin(), was asked by this module. Null: by none.
void note_asker(const char* module);

/// Whether another process traces this one and could do what follows.
bool can_execute_again();

/// Ends this process; the one that its caller has started becomes this program anew, with `argc` arguments.
/// Returns without memory.
void execute_again(const char* const* argv, int argc);

/// While one is there nothing is recorded: what this program does for itself is no question.
class Pause {
 public:
  Pause();
  ~Pause();  // NOLINT(performance-trivially-destructible): where questions are recorded it does something
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
};

/// What the warm-up has done that no answer can be compared for.
enum class Matter : uint8_t {
  // These say that an image cannot be right.
  kChanged,        // a file changed while it was read, or does so all the time
  kNeverTheSame,   // in /proc: differs each time, or in each process
  kStandardInput,  // was read
  kDevice,         // another device than null, zero, full, random and the terminal was opened, or a FIFO
  kConnection,     // to another process, or to the network
  kHidden,         // the kernel did not show it: io_uring, a log that is full
  kLastThatRefuses = kHidden,
  // These are for whoever wonders.
  kChildProcess,  // its files have been recorded, and the environment
  kItself,        // /proc/self/exe was asked for, which is moonlet's in a launch
  kClock,
  kRandom,
  kLast = kRandom,
};

struct Problem {
  Matter matter;
  const char* text;    // what: "/proc/uptime", "/usr/bin/uname", "AF_INET"
  const char* module;  // whose loading asked for it first; null: none, or nobody knows
};

struct Collected {
  const char* bytes;  // Question after Question (image/format.h), aligned to 8
  uint32_t size;      // bytes
  uint32_t count;
  const Problem* problems;
  uint32_t problem_count;
  bool traced;  // otherwise only the functions in front of libc's have seen what there was to see
};

/// All questions, each once, grouped; each file is compared once more. After end(). What the result points to
/// lives until forget().
Collected collect();

/// The words for a `matter`, to be followed by the text: "a child process was started: ".
const char* describe(Matter matter);

/// The shared mapping of the log: no part of the image. Size 0: there is none.
struct Mapping {
  uintptr_t address;
  size_t size;
};
Mapping mapping();

/// Gives up the log.
void forget();

}  // namespace moonlet::freeze::questions
