#include "freeze/interposed.h"

#include "freeze/files.h"
#include "freeze/world.h"
#include "image/answer.h"

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

namespace {

using image::Asked;

// What libc reads behind a function: variables, and files where no tracer sees it open them. Zero-terminated,
// the last one empty.
struct Reads {
  const char* variables;
  const char* files;
};

constexpr Reads kNothing = {"", ""};
constexpr Reads kLocaleNames = {
    "LC_ALL\0LC_CTYPE\0LC_NUMERIC\0LC_TIME\0LC_COLLATE\0LC_MONETARY\0LC_MESSAGES\0LANG\0"
#if defined(__GLIBC__)
    "LC_PAPER\0LC_NAME\0LC_ADDRESS\0LC_TELEPHONE\0LC_MEASUREMENT\0LC_IDENTIFICATION\0LOCPATH\0GCONV_PATH\0",
    "/usr/lib/locale\0/usr/lib/locale/locale-archive\0"
#else
    "MUSL_LOCPATH\0",
    ""
#endif
};
constexpr Reads kTimeZone = {"TZ\0TZDIR\0", "/etc/localtime\0"};
constexpr Reads kDateMask = {"DATEMSK\0TZ\0TZDIR\0", "/etc/localtime\0"};
constexpr Reads kMessages = {"NLSPATH\0LC_ALL\0LC_MESSAGES\0LANG\0MSGVERB\0SEV_LEVEL\0", ""};
constexpr Reads kTemporary = {"TMPDIR\0", ""};
constexpr Reads kResolver = {
    "RES_OPTIONS\0LOCALDOMAIN\0HOSTALIASES\0RESOLV_HOST_CONF\0RESOLV_MULTI\0RESOLV_REORDER\0RESOLV_ADD_TRIM_"
    "DOMAINS\0"
    "RESOLV_OVERRIDE_TRIM_DOMAINS\0",
    "/etc/resolv.conf\0/etc/hosts\0/etc/nsswitch.conf\0/etc/host.conf\0/etc/gai.conf\0/etc/services\0"};
constexpr Reads kAccounts = {"LOGNAME\0", "/etc/passwd\0/etc/group\0/etc/nsswitch.conf\0"};
constexpr Reads kPrograms = {nullptr, ""};  // the whole environment
#if defined(__GLIBC__)
constexpr Reads kConversion = {"GCONV_PATH\0", "/usr/lib/gconv\0"};
constexpr Reads kTranslation = {"LANGUAGE\0OUTPUT_CHARSET\0LC_ALL\0LC_MESSAGES\0LANG\0NLSPATH\0", ""};
constexpr Reads kOptions = {"POSIXLY_CORRECT\0ARGP_HELP_FMT\0", ""};
#endif

enum class Handler : uint8_t {
  kVariable,
  kAlways,
  kLocale,
  kTime,
  kDescriptor,
  kOldDescriptor,
  kSettings,
  kControl,
  // From here on only without a tracer.
  kFopen,
  kOpen,
  kOpenAt,
  kTemplate,
  kStat,
  kOldStat,
  kLstat,
  kOldLstat,
  kStatAt,
  kStatx,
  kAccess,
  kAccessAt,
  kDirectory,
  kLink,
  kLinkAt,
  kEnter,
  kLibrary,
  kTerminal,
  kWhere,
  kHost,
  kUser,
  kSystem,
  kLimit,
  kConnection,
  kFork,
};

struct Function {
  const char* name;
  Handler handler;
  const Reads* reads;
};

constexpr Function kFunctions[] = {
#define FUNCTION(name, handler, reads) {#name, Handler::handler, &(reads)},
#include "freeze/interposed_list.h"
#undef FUNCTION
};
constexpr size_t kCount = sizeof kFunctions / sizeof *kFunctions;

void* libcs[kCount];

void ask_reads(Log* log, const Function& function) {
  const Reads& reads = *function.reads;
  if (reads.variables == nullptr) {
    ask_environment(log);
    if (!is_traced) log->add_problem(Matter::kChildProcess, function.name);
  }
  const char* name = reads.variables == nullptr ? "" : reads.variables;
  for (; *name != '\0'; name += strlen(name) + 1) ask_variable(log, name);
  if (is_traced) return;
  for (const char* file = reads.files; *file != '\0'; file += strlen(file) + 1)
    ask_file(log, FileCall::kOpen, file);
}

// A path below a descriptor is the descriptor's: its own file has been asked when it was opened.
void ask_at(Log* log, FileCall call, long directory, const char* path) {
  if (path != nullptr && (static_cast<int>(directory) == AT_FDCWD || *path == '/'))
    ask_file(log, call, path);
  else if (path != nullptr && *path != '\0')
    log->add_problem(Matter::kHidden, path);
}

void ask_stream(Log* log, const char* path, const char* mode) {
  if (mode == nullptr) return;
  const bool updates = strchr(mode, '+') != nullptr;
  switch (*mode) {
    case 'r':
      return ask_open(log, path, updates ? O_RDWR : O_RDONLY);
    case 'w':
      return ask_open(log, path, O_WRONLY | O_CREAT | O_TRUNC);
    default:
      return ask_open(log, path, (updates ? O_RDWR : O_WRONLY) | O_CREAT);
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

// `argument`: as many as are in registers.
void record(Log* log, const Function& function, const long* argument) {
  const auto text = [argument](int index) { return reinterpret_cast<const char*>(argument[index]); };
  const auto number = [argument](int index) { return static_cast<int>(argument[index]); };
  if (function.handler >= Handler::kFopen && is_traced) return;
  switch (function.handler) {
    case Handler::kVariable:
      return ask_variable(log, text(0));
    case Handler::kAlways:
      return ask_reads(log, function);
    case Handler::kLocale:
      if (text(1) != nullptr && strcmp(text(1), "C") != 0 && strcmp(text(1), "POSIX") != 0)
        ask_reads(log, function);
      return;
    case Handler::kTime:
      return log->add_problem(Matter::kClock, kTheClock);
    case Handler::kDescriptor:
      return ask_descriptor(log, number(0));
    case Handler::kOldDescriptor:
      return ask_descriptor(log, number(1));
    case Handler::kSettings:
      return ask_terminal(log, number(0), image::kSettings);
    case Handler::kControl:
      if (number(1) != TIOCGWINSZ && number(1) != TCGETS) return;
      return ask_terminal(log, number(0), number(1) == TIOCGWINSZ ? image::kWindowSize : 0U);
    case Handler::kFopen:
      return text(0) == nullptr ? void() : ask_stream(log, text(0), text(1));
    case Handler::kOpen:
      return ask_open(log, text(0), number(1));
    case Handler::kOpenAt:
      if (number(0) == AT_FDCWD || *text(1) == '/') return ask_open(log, text(1), number(2));
      return ask_at(log, FileCall::kOpen, argument[0], text(1));
    case Handler::kTemplate:  // which name it becomes is to be seen
      return log->add(kOwnFile, 0, text(0), strlen(text(0)), 0);
    case Handler::kStat:
      return ask_file(log, FileCall::kStat, text(0));
    case Handler::kOldStat:
      return ask_file(log, FileCall::kStat, text(1));
    case Handler::kLstat:
      return ask_file(log, FileCall::kLstat, text(0));
    case Handler::kOldLstat:
      return ask_file(log, FileCall::kLstat, text(1));
    case Handler::kStatAt:
    case Handler::kStatx: {
      const int flags = number(function.handler == Handler::kStatx ? 2 : 3);
      return ask_at(log, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? FileCall::kLstat : FileCall::kStat, argument[0],
                    text(1));
    }
    case Handler::kAccess:
      return ask_file(log, number(1) == F_OK ? FileCall::kExists : FileCall::kAccess, text(0));
    case Handler::kAccessAt:
      return ask_at(log, number(2) == F_OK ? FileCall::kExists : FileCall::kAccess, argument[0], text(1));
    case Handler::kDirectory:
      return ask_file(log, FileCall::kOpen, text(0));
    case Handler::kLink:
      return ask_file(log, FileCall::kReadLink, text(0));
    case Handler::kLinkAt:
      return ask_at(log, FileCall::kReadLink, argument[0], text(1));
    case Handler::kEnter:
      ask_file(log, FileCall::kAccess, text(0));
      // Relative names are recorded by what the warm-up's first directory makes of them: not from here on.
      log->add_problem(Matter::kHidden, text(0));
      return;
    case Handler::kLibrary:
      if (text(0) != nullptr && strchr(text(0), '/') != nullptr) ask_file(log, FileCall::kOpen, text(0));
      return;
    case Handler::kTerminal:
      return ask_terminal(log, number(0), 0);
    case Handler::kWhere:
      return ask_world(log, Asked::kWorkingDirectory);
    case Handler::kHost:
      return ask_world(log, Asked::kHost);
    case Handler::kUser:
      return ask_world(log, Asked::kUser);
    case Handler::kSystem:
      if (number(0) == _SC_NPROCESSORS_ONLN || number(0) == _SC_NPROCESSORS_CONF) {
        ask_world(log, Asked::kProcessors);
        ask_file(log, FileCall::kOpen, "/sys/devices/system/cpu/online");
      }
      return;
    case Handler::kLimit:
      return ask_world(log, Asked::kLimit, static_cast<uint32_t>(argument[0]));
    case Handler::kConnection:
      return log->add_problem(Matter::kConnection, "a socket");
    case Handler::kFork:
      return log->add_problem(Matter::kChildProcess, "a copy of it");
  }
}

}  // namespace

void find_libc_functions() {
  for (size_t i = 0; i < kCount; i++) libcs[i] = dlsym(RTLD_NEXT, kFunctions[i].name);
}

void (*observe_library)() = nullptr;

// For the entry points: where libc's function `index` is. A sanitizer's runtime calls some before it is ready
// for checks.
extern "C" [[gnu::used, gnu::visibility("hidden"), gnu::no_sanitize("address", "undefined")]] void*
moonlet_forward(unsigned index, const long* argument) {
  if (recording != nullptr) {
    const int error = errno;
    record(recording, kFunctions[index], argument);
    errno = error;
  }
  if (kFunctions[index].handler == Handler::kLibrary && observe_library != nullptr) observe_library();
  if (libcs[index] == nullptr) libcs[index] = dlsym(RTLD_NEXT, kFunctions[index].name);
  return libcs[index];
}

}  // namespace moonlet::freeze::questions
