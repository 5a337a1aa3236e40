#include "freeze/interposed.h"

#include "freeze/attributes.h"
#include "freeze/files.h"
#include "freeze/generators.h"
#include "freeze/hooks.h"
#include "freeze/plain_exit.h"
#include "freeze/world.h"
#include "image/answer.h"
#include "image/fork_handlers.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

constinit bool is_traced = false;

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
#if defined(MOONLET_HOOKS)
constexpr Call kProcessId = plain(Asks::kProcessId);
constexpr Call kAdvice = plain(Asks::kAdvice);
constexpr Call kMoveOfMemory = plain(Asks::kMoveOfMemory);
#endif

}  // namespace calls

namespace {

using image::Asked;

// What libc reads behind a function: variables, and files where no tracer sees it open them. Zero-terminated,
// the last one empty.
struct Reads {
  const char* variables;  // null: the whole environment
  const char* files;
};

// What the list calls them by.
enum : uint8_t {
  kNothing,
  kLocaleNames,
  kTimeZone,
  kDateMask,
  kMessages,
  kTemporary,
  kResolver,
  kAccounts,
  kPrograms,
  kConversion,
  kTranslation,
  kOptions,
};
constexpr Reads kReads[] = {
    {"", ""},
    {"LC_ALL\0LC_CTYPE\0LC_NUMERIC\0LC_TIME\0LC_COLLATE\0LC_MONETARY\0LC_MESSAGES\0LANG\0"
#if defined(__GLIBC__)
     "LC_PAPER\0LC_NAME\0LC_ADDRESS\0LC_TELEPHONE\0LC_MEASUREMENT\0LC_IDENTIFICATION\0LOCPATH\0GCONV_PATH\0",
     "/usr/lib/locale\0/usr/lib/locale/locale-archive\0"
#else
     "MUSL_LOCPATH\0",
     ""
#endif
    },
    {"TZ\0TZDIR\0", "/etc/localtime\0"},
    {"DATEMSK\0TZ\0TZDIR\0", "/etc/localtime\0"},
    {"NLSPATH\0LC_ALL\0LC_MESSAGES\0LANG\0MSGVERB\0SEV_LEVEL\0", ""},
    {"TMPDIR\0", ""},
    {"RES_OPTIONS\0LOCALDOMAIN\0HOSTALIASES\0RESOLV_HOST_CONF\0RESOLV_MULTI\0RESOLV_REORDER\0RESOLV_ADD_TRIM_"
     "DOMAINS\0RESOLV_OVERRIDE_TRIM_DOMAINS\0",
     "/etc/resolv.conf\0/etc/hosts\0/etc/nsswitch.conf\0/etc/host.conf\0/etc/gai.conf\0/etc/services\0"},
    {"LOGNAME\0", "/etc/passwd\0/etc/group\0/etc/nsswitch.conf\0"},
    {nullptr, ""},
#if defined(__GLIBC__)
    {"GCONV_PATH\0", "/usr/lib/gconv\0"},
    {"LANGUAGE\0OUTPUT_CHARSET\0LC_ALL\0LC_MESSAGES\0LANG\0NLSPATH\0", ""},
    {"POSIXLY_CORRECT\0ARGP_HELP_FMT\0", ""},
#endif
};

struct Function {
  Call call;
  uint8_t reads;  // index of kReads
};

constexpr Function kFunctions[] = {
#define FUNCTION(name, call, reads) {calls::call, reads},
#include "freeze/interposed_list.h"
#undef FUNCTION
};

#if !defined(MOONLET_HOOKS)

constexpr const char* kNames[] = {
#define FUNCTION(name, call, reads) #name,
#include "freeze/interposed_list.h"
#undef FUNCTION
};

constexpr size_t kCount = sizeof kNames / sizeof *kNames;
void* libcs[kCount];

void* function_of_libc(unsigned index) {
  if (libcs[index] == nullptr) libcs[index] = dlsym(RTLD_NEXT, kNames[index]);
  return libcs[index];
}

#endif

void ask_reads(Log* log, const Function& function) {
  const Reads& reads = kReads[function.reads];
  if (reads.variables == nullptr) {
    ask_environment(log);
    if (!is_traced) log->add_problem(Matter::kChildProcess, "another program");
  }
  const char* name = reads.variables == nullptr ? "" : reads.variables;
  for (; *name != '\0'; name += strlen(name) + 1) ask_variable(log, name);
  if (is_traced) return;
  for (const char* file = reads.files; *file != '\0'; file += strlen(file) + 1)
    ask_path(log, Asks::kOpen, file);
}

// A path below a descriptor is the descriptor's: its own file has been asked when it was opened.
void ask_path_at(Log* log, const Call& call, int directory, const char* path, unsigned long flags) {
  if (path == nullptr) return;
  if (directory == AT_FDCWD || *path == '/') {
    ask_path(log, call.asks, path, flags);
  } else if (*path != '\0') {
    log->add_problem(Matter::kHidden, path);
  }
}

int flags_of_stream(const char* mode) {
  const bool updates = strchr(mode, '+') != nullptr;
  switch (*mode) {
    case 'r':
      return updates ? O_RDWR : O_RDONLY;
    case 'w':
      return O_WRONLY | O_CREAT | O_TRUNC;
    default:
      return (updates ? O_RDWR : O_WRONLY) | O_CREAT;
  }
}

// What a descriptor is that the warm-up was started with.
void ask_descriptor(Log* log, int fd) {
  char path[] = "/proc/self/fd/0";
  if (fd < 0 || fd > 2 || log->options.trust) return;
  path[sizeof path - 2] = static_cast<char>('0' + fd);
  if (!log->knows(Asked::kKind, 0, path, sizeof path - 1))
    log->add(Asked::kKind, 0, path, sizeof path - 1, image::answer(Asked::kKind, 0, path, AT_FDCWD, nullptr));
}

void ask_terminal(Log* log, int fd, uint32_t details) {
  if (fd >= 0 && fd <= 2) ask_world(log, Asked::kTerminal, static_cast<uint32_t>(fd) | details);
}

void ask_system(Log* log, int name) {
  if (name != _SC_NPROCESSORS_ONLN && name != _SC_NPROCESSORS_CONF) return;
  ask_fact(log, Asks::kProcessors);
  ask_path(log, Asks::kOpen, "/sys/devices/system/cpu/online");
}

// `argument`: as many as are in registers.
void record(Log* log, const Function& function, const long* argument) {
  const Call& call = function.call;
  if (call.asks >= kFirstThatIsTraced && is_traced) return;
  const long first = call.path == kNoArgument ? 0 : argument[call.path];
  const long second = call.flags == kNoArgument ? 0 : argument[call.flags];
  const auto* const text = reinterpret_cast<const char*>(first);
  const int number = static_cast<int>(first);
  switch (call.asks) {
    case Asks::kVariable:
      return ask_variable(log, text);
    case Asks::kReads:
      return ask_reads(log, function);
    case Asks::kLocale:
      if (text != nullptr && strcmp(text, "C") != 0 && strcmp(text, "POSIX") != 0) ask_reads(log, function);
      return;
    case Asks::kClock:
      return log->add_problem(Matter::kClock, kTheClock);
    case Asks::kDescriptor:
      return ask_descriptor(log, number);
    case Asks::kSettings:
      return ask_terminal(log, number, image::kSettings);
    case Asks::kControl:
      if (static_cast<int>(second) == TIOCGWINSZ) return ask_terminal(log, number, image::kWindowSize);
      if (static_cast<int>(second) == TCGETS) ask_terminal(log, number, 0);
      return;
    case Asks::kTerminal:
      return ask_terminal(log, number, 0);
    case Asks::kStream: {
      const auto* const mode = reinterpret_cast<const char*>(second);
      if (text != nullptr && mode != nullptr)
        ask_path(log, Asks::kOpen, text, static_cast<unsigned long>(flags_of_stream(mode)));
      return;
    }
    case Asks::kTemplate:  // which name it becomes is to be seen
      return log->add(kOwnFile, 0, text, strlen(text), 0);
    case Asks::kLibrary:
      if (text != nullptr && strchr(text, '/') != nullptr) ask_path(log, Asks::kOpen, text);
      return;
    case Asks::kSystem:
      return ask_system(log, number);
    case Asks::kWhere:
    case Asks::kHost:
    case Asks::kUser:
    case Asks::kLimit:
      return ask_fact(log, call.asks, static_cast<unsigned long>(first));
    case Asks::kConnection:
      return log->add_problem(Matter::kConnection, "a socket");
    case Asks::kFork:
      return log->add_problem(Matter::kChildProcess, "a copy of it");
    default:
      ask_path_at(log, call,
                  call.directory == kNoArgument ? AT_FDCWD : static_cast<int>(argument[call.directory]), text,
                  static_cast<unsigned long>(second));
      // Relative names are recorded by what the warm-up's first directory makes of them: not from here on.
      if (call.asks == Asks::kEnter) log->add_problem(Matter::kHidden, text);
  }
}

// Whoever else wants to know of a call.
void tell(Asks asks, const long* argument) {
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
#if !defined(MOONLET_HOOKS)
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

// What it loads has tables of its own.
void* open_library(const char* path, int mode) {
  void* const library = dlopen(path, mode);
  hook_libraries();
  return library;
}

// What a call goes on with.
void* target(Asks asks, unsigned index) {
  switch (asks) {
    case Asks::kLibrary:
      if (recording != nullptr) return reinterpret_cast<void*>(open_library);
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
void* target(Asks, unsigned index) { return function_of_libc(index); }
}  // namespace

#endif

// For the entry points: where libc's function `index` is. A sanitizer's runtime calls some before it is ready
// for checks.
extern "C" [[gnu::used, gnu::visibility("hidden"), gnu::no_sanitize("address", "undefined")]] void*
moonlet_forward(unsigned index, const long* argument) {
  const Asks asks = kFunctions[index].call.asks;
  const int error = errno;
  if (asks > Asks::kLastQuestion || asks == Asks::kLibrary) tell(asks, argument);
  if (asks <= Asks::kLastQuestion && recording != nullptr) record(recording, kFunctions[index], argument);
  errno = error;
  return target(asks, index);
}

}  // namespace moonlet::freeze::questions
