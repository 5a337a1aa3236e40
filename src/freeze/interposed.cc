#include "freeze/interposed.h"

#include "base/layout.h"
#include "base/replaces.h"
#include "freeze/attributes.h"
#include "freeze/function_questions.h"
#include "freeze/generators.h"
#include "freeze/hooks.h"
#include "freeze/plain_exit.h"
#include "image/fork_handlers.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

namespace moonlet::freeze::questions {

#if defined(MOONLET_TRACER)
constinit bool is_traced = false;
#endif
void (*observe_thread)() = nullptr;
void (*observe_buffering)(const void* stream) = nullptr;

// Those that are functions of libc's alone. What is the first argument of a system call is the second of the
// old forms of stat(2).
namespace calls {

constexpr Call kVariable = plain(Asks::kVariable, 0);
constexpr Call kAlways = plain(Asks::kReads);
constexpr Call kLocale = plain(Asks::kLocale, 1);
constexpr Call kTime = plain(Asks::kClock);
constexpr Call kDescriptor = plain(Asks::kDescriptor, 0);
constexpr Call kOldDescriptor = plain(Asks::kDescriptor, 1);
constexpr Call kSettings = plain(Asks::kSettings, 0);
constexpr Call kControl = {Asks::kControl, kNoArgument, 0, 1};
constexpr Call kFopen = {Asks::kStream, kNoArgument, 0, 1};
constexpr Call kTemplate = plain(Asks::kTemplate, 0);
constexpr Call kOldStat = plain(Asks::kStat, 1);
constexpr Call kOldLstat = plain(Asks::kLstat, 1);
constexpr Call kDirectory = plain(Asks::kOpen, 0);
constexpr Call kLibrary = plain(Asks::kLibrary, 0);
constexpr Call kTerminal = plain(Asks::kTerminal, 0);
constexpr Call kSystem = plain(Asks::kSystem, 0);
constexpr Call kFork = plain(Asks::kFork);
constexpr Call kExitHandler = plain(Asks::kExitHandler);
constexpr Call kForkHandlers = plain(Asks::kForkHandlers);
constexpr Call kSeedOfRand = plain(Asks::kSeedOfRand);
constexpr Call kSeedOfRandom = plain(Asks::kSeedOfRandom);
constexpr Call kSeedOfRand48 = plain(Asks::kSeedOfRand48);
constexpr Call kTuning = plain(Asks::kTuning);
constexpr Call kThread = plain(Asks::kThread);
constexpr Call kBuffering = plain(Asks::kBuffering);
#if defined(MOONLET_HOOKS)
constexpr Call kProcessId = plain(Asks::kProcessId);
constexpr Call kAdvice = plain(Asks::kAdvice);
constexpr Call kMoveOfMemory = plain(Asks::kMoveOfMemory);
#endif

}  // namespace calls

namespace {

struct Function {
  Call call;
  Reads reads;

  constexpr bool operator==(const Function& other) const {
    return call.asks == other.call.asks && call.directory == other.call.directory &&
           call.path == other.call.path && call.flags == other.call.flags && reads == other.reads;
  }
};

constexpr Function kFunctions[] = {
#define FUNCTION(name, call, reads) {calls::call, Reads::reads},
#include "freeze/interposed_list.h"
#undef FUNCTION
};
constexpr size_t kCount = sizeof kFunctions / sizeof *kFunctions;

// Many are alike: each kind is kept once, for a byte that says which it is.
template <size_t kMost>
struct Kinds {
  Function kind[kMost];
  uint8_t of[kCount];  // index of its kind
  uint8_t count;
};

template <size_t kMost>
constexpr Kinds<kMost> sort() {
  Kinds<kMost> kinds = {};
  for (size_t i = 0; i < kCount; i++) {
    uint8_t at = 0;
    while (at < kinds.count && !(kinds.kind[at] == kFunctions[i])) at++;
    if (at == kinds.count) kinds.kind[kinds.count++] = kFunctions[i];
    kinds.of[i] = at;
  }
  return kinds;
}
constexpr auto kKinds = sort<sort<kCount>().count>();

#if !defined(MOONLET_HOOKS)

constexpr const char* kNames[] = {
#define FUNCTION(name, call, reads) #name,
#include "freeze/interposed_list.h"
#undef FUNCTION
};

MOONLET_LARGE void* libcs[kCount];

MOONLET_UNCHECKED void* function_of_libc(unsigned index) {
  if (libcs[index] == nullptr) libcs[index] = dlsym(RTLD_NEXT, kNames[index]);
  return libcs[index];
}

#endif

// Whoever else wants to know of a call.
MOONLET_UNCHECKED void tell(Asks asks, const long* argument) {
  using Handler = void (*)();
  switch (asks) {
    case Asks::kLibrary:
      return note_library();
    case Asks::kExitHandler:
      return note_exit_handler();
    case Asks::kForkHandlers:
      return image::note_fork_handlers(reinterpret_cast<Handler>(argument[0]),
                                       reinterpret_cast<Handler>(argument[2]));
    case Asks::kTuning:
      return note_tuning();
    case Asks::kThread:
      note_thread();
      return observe_thread == nullptr ? void() : observe_thread();
    case Asks::kBuffering:
      return observe_buffering == nullptr ? void()
                                          : observe_buffering(reinterpret_cast<const void*>(argument[0]));
    case Asks::kSeedOfRand:
    case Asks::kSeedOfRandom:
    case Asks::kSeedOfRand48:
      return note_seed(1U << (static_cast<unsigned>(asks) - static_cast<unsigned>(Asks::kSeedOfRand)));
    default:
      return;
  }
}

}  // namespace

void find_libc_functions() {
#if !defined(MOONLET_HOOKS) && defined(MOONLET_QUESTIONS)
  for (unsigned i = 0; i < kCount; i++) function_of_libc(i);
#endif
}

#if defined(MOONLET_HOOKS)

extern "C" {
int moonlet_madvise(void* address, size_t size, int advice);
void* moonlet_mremap(void* address, size_t old_size, size_t new_size, int flags, ...);
pid_t moonlet_getpid();
}

namespace {

#if defined(MOONLET_QUESTIONS)
constexpr unsigned index_of(Asks asks) {
  unsigned index = 0;
  while (kFunctions[index].call.asks != asks) index++;
  return index;
}

// What it loads has tables of its own. This program's own dlopen is hooked too, and would come back to here.
void* open_library(const char* path, int mode) {
  const auto open = reinterpret_cast<void* (*)(const char*, int)>(function_of_libc(index_of(Asks::kLibrary)));
  void* const library = open(path, mode);
  hook_libraries();
  return library;
}
#endif

// What a call goes on with.
void* target(Asks asks, unsigned index) {
  switch (asks) {
    case Asks::kLibrary:
#if defined(MOONLET_QUESTIONS)
      if (recording != nullptr) return reinterpret_cast<void*>(open_library);
#endif
      break;
    case Asks::kProcessId:
      return reinterpret_cast<void*>(moonlet_getpid);
    case Asks::kAdvice:
      return reinterpret_cast<void*>(moonlet_madvise);
    case Asks::kMoveOfMemory:
      return reinterpret_cast<void*>(moonlet_mremap);
    default:
      break;
  }
  return function_of_libc(index);
}

}  // namespace

#else

namespace {
MOONLET_UNCHECKED void* target(Asks, unsigned index) { return function_of_libc(index); }
}  // namespace

#endif

// For the entry points: where libc's function `index` is.
extern "C" [[gnu::used, gnu::visibility("hidden")]] MOONLET_UNCHECKED void* moonlet_forward(
    unsigned index, const long* argument) {
  const Function& function = kKinds.kind[kKinds.of[index]];
  const Asks asks = function.call.asks;
  const int error = errno;
  if (asks > Asks::kLastQuestion || asks == Asks::kLibrary) tell(asks, argument);
#if defined(MOONLET_QUESTIONS)
  if (asks <= Asks::kLastQuestion && recording != nullptr)
    ask_as(recording, function.call, function.reads, argument);
#endif
  errno = error;
  return target(asks, index);
}

}  // namespace moonlet::freeze::questions
