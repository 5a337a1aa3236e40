#include "freeze/function_questions.h"

#include "freeze/files.h"
#include "freeze/interposed.h"
#include "freeze/world.h"
#include "image/answer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

using image::Asked;

// What libc reads behind a function: variables, and files where no tracer sees it open them. Zero-terminated,
// the last one empty.
struct ReadsOfLibc {
  const char* variables;  // null: the whole environment
  const char* files;
};

constexpr ReadsOfLibc kReads[] = {
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
#if defined(__GLIBC__)
    {"TMPDIR\0", ""},
    {"RES_OPTIONS\0LOCALDOMAIN\0HOSTALIASES\0RESOLV_HOST_CONF\0RESOLV_MULTI\0RESOLV_REORDER\0RESOLV_ADD_TRIM_"
     "DOMAINS\0RESOLV_OVERRIDE_TRIM_DOMAINS\0",
     "/etc/resolv.conf\0/etc/hosts\0/etc/nsswitch.conf\0/etc/host.conf\0/etc/gai.conf\0/etc/services\0"},
    {"LOGNAME\0", "/etc/passwd\0/etc/group\0/etc/nsswitch.conf\0"},
#else
    {"", ""},
    {"", "/etc/resolv.conf\0/etc/hosts\0/etc/services\0"},
    {"LOGNAME\0", "/etc/passwd\0/etc/group\0"},
#endif
    {nullptr, ""},
#if defined(__GLIBC__)
    {"GCONV_PATH\0", "/usr/lib/gconv\0"},
    {"LANGUAGE\0OUTPUT_CHARSET\0LC_ALL\0LC_MESSAGES\0LANG\0NLSPATH\0", ""},
    {"POSIXLY_CORRECT\0ARGP_HELP_FMT\0", ""},
#endif
};

void ask_reads(Log* log, Reads of) {
  const ReadsOfLibc& reads = kReads[static_cast<int>(of)];
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

}  // namespace

void ask_as(Log* log, const Call& call, Reads reads, const long* argument) {
  if (call.asks >= kFirstThatIsTraced && is_traced) return;
  const long first = call.path == kNoArgument ? 0 : argument[call.path];
  const long second = call.flags == kNoArgument ? 0 : argument[call.flags];
  const auto* const text = reinterpret_cast<const char*>(first);
  const int number = static_cast<int>(first);
  switch (call.asks) {
    case Asks::kVariable:
      return ask_variable(log, text);
    case Asks::kReads:
      return ask_reads(log, reads);
    case Asks::kLocale:
      if (text != nullptr && strcmp(text, "C") != 0 && strcmp(text, "POSIX") != 0) ask_reads(log, reads);
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
      return text == nullptr ? void() : log->add(kOwnFile, 0, text, strlen(text), 0);
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

}  // namespace moonlet::freeze::questions
