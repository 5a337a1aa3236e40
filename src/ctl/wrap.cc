#include "ctl/wrap.h"

#include "base/unique_fd.h"
#include "ctl/fail.h"
#include "ctl/text.h"
#include "ctl/words.h"
#include "ctl/wrapped_program.h"
#include "fallback/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

struct Wish {
  const char* program = nullptr;  // as the user names it
  const char* file = nullptr;     // where the wrapper goes; null: ~/.local/bin
  char** arguments = nullptr;     // of the program
};

Wish read_wish(char** argv) {
  static char version[] = "--version";
  static char* usual[] = {version, nullptr};
  Wish wish = {nullptr, nullptr, usual};
  for (; *argv != nullptr; argv++) {
    if (strcmp(*argv, "--") == 0) {
      wish.arguments = argv + 1;
      break;
    }
    if (strcmp(*argv, "-o") == 0) {
      if (argv[1] == nullptr) fail("--wrap: -o: a file must follow");
      wish.file = *++argv;
    } else if (**argv == '-' || wish.program != nullptr) {
      fail("--wrap: '%s' is not expected here (arguments of the program follow --)", *argv);
    } else {
      wish.program = *argv;
    }
  }
  if (wish.program == nullptr) fail("--wrap: which program?");
  return wish;
}

// What modules are tried in. It goes with this program, however that ends: fail() runs no destructor.
class TrialImage {
 public:
  TrialImage() {
    const char* const directory = getenv("TMPDIR");
    snprintf(path_, sizeof path_, "%s/moonlet-wrap.XXXXXX", directory != nullptr ? directory : "/tmp");
    const UniqueFd file(mkostemp(path_, O_CLOEXEC));
    if (!file.valid()) fail("--wrap: make %s: %s", path_, strerror(errno));
    atexit(remove);
    constexpr int kEnds[] = {SIGHUP, SIGINT, SIGTERM};
    for (const int signal : kEnds) {
      if (::signal(signal, end) == SIG_IGN) ::signal(signal, SIG_IGN);
    }
  }
  [[nodiscard]] char* path() const { return path_; }

 private:
  static void remove() { unlink(path_); }
  static void end(int signal) {
    remove();
    ::signal(signal, SIG_DFL);
    raise(signal);
  }

  static inline char path_[PATH_MAX];
};

// Which modules can be warm. What fails in the background later nobody would see.
class Trials {
 public:
  Trials(const WrappedProgram& program, char* moonlet, char** arguments)
      : program_(program), moonlet_(moonlet), arguments_(arguments) {}

  // The options -l with which the program does what it does without. Fails if there are none.
  Text choose() {
    LoadedModules modules;
    const Outcome plain = program_.run(arguments_, modules);
    if (modules.all.size() == 0)
      fail("--wrap: %s has loaded no module when it ran with %s: give it other arguments behind --",
           program_.path(), *arguments_ != nullptr ? *arguments_ : "no argument");
    Text options = options_for(modules.outermost.bytes());
    if (does_the_same(options, plain)) return options;
    LoadedModules again;
    if (!program_.run(arguments_, again).is_like(plain)) {
      printf("%s prints something else each time: whether it does so with its modules warm was not compared.\n",
             program_.path());
      return options;
    }
    printf("Looking for the modules that %s does not bear warm ...\n", program_.path());
    fflush(stdout);
    Text kept;
    choose_among(modules.all.bytes(), modules.all.size(), kept, plain);
    if (kept.size() == 0) fail("--wrap: %s does something else with any module warm", program_.path());
    return options_for(kept.bytes());
  }

 private:
  // "-l A -l B", of names with newlines behind them.
  static Text options_for(const char* names) {
    Text options;
    for (const char* end = nullptr; (end = strchr(names, '\n')) != nullptr; names = end + 1) {
      options.add(options.size() == 0 ? "-l " : " -l ");
      options.add(names, static_cast<size_t>(end - names));
    }
    return options;
  }

  bool freeze(const Text& modules) {
    static char option[] = "--freeze";
    static char whole[] = "--whole";  // what cannot be frozen shall not be tried again and again
    char* const words = strdup(modules.bytes());
    const size_t most = modules.size();
    char** const argv = static_cast<char**>(calloc(most + 5, sizeof(char*)));
    if (words == nullptr || argv == nullptr) fail("not enough memory");
    argv[0] = moonlet_;
    argv[1] = option;
    argv[2] = image_.path();
    argv[3] = whole;
    split_words(words, argv + 4, static_cast<int>(most));
    const UniqueFd nothing(open("/dev/null", O_WRONLY | O_CLOEXEC));
    const int status = run_and_wait(argv, nothing.get(), nothing.get());
    free(argv);
    free(words);
    return status == 0;
  }

  bool does_the_same(const Text& modules, const Outcome& plain) {
    return freeze(modules) && program_.run_warm(moonlet_, image_.path(), arguments_).is_like(plain);
  }

  // Adds to `kept`, of the `size` bytes of names, all that it bears: the halves one after another where the
  // whole does not do.
  void choose_among(const char* names, size_t size, Text& kept, const Outcome& plain) {
    const size_t before = kept.size();
    kept.add(names, size);
    if (does_the_same(options_for(kept.bytes()), plain)) return;
    kept.cut(before);
    size_t middle = size / 2;
    while (middle > 0 && names[middle - 1] != '\n') middle--;
    if (middle == 0) middle = static_cast<size_t>(strchr(names, '\n') + 1 - names);
    if (middle >= size) return;
    choose_among(names, middle, kept, plain);
    choose_among(names + middle, size - middle, kept, plain);
  }

  const WrappedProgram& program_;
  char* moonlet_;
  char** arguments_;
  TrialImage image_;
};

// In single quotes, as sh(1) reads them.
void add_quoted(Text& out, const char* text) {
  out.add("'");
  for (; *text != '\0'; text++) {
    if (*text == '\'') {
      out.add("'\\''");
    } else {
      out.add(text, 1);
    }
  }
  out.add("'");
}

// If moonlet is gone, the program is what it was.
void write_wrapper(Text& out, const WrappedProgram& program, const char* moonlet, const Text& modules) {
  out.format("#!/bin/sh\n%s: it starts the program below with its modules warm.\n[ -x ", kWrapperMark);
  add_quoted(out, moonlet);
  out.add(" ] || exec ");
  add_quoted(out, program.path());
  out.add(" \"$@\"\nMOONLET_WARM=");
  add_quoted(out, modules.bytes());
  out.add(" exec ");
  add_quoted(out, moonlet);
  out.add(" --argv0");
  for (char* const* word = program.interpreter(); *word != nullptr; word++) {
    out.add(" ");
    add_quoted(out, *word);
  }
  out.add(" ");
  add_quoted(out, program.path());
  out.add(" \"$@\"\n");
}

void choose_file(const char* program, char (&path)[PATH_MAX]) {
  const char* const home = getenv("HOME");
  if (home == nullptr || *home != '/') fail("--wrap: without HOME, say where it shall go: -o FILE");
  const char* const slash = strrchr(program, '/');
  if (snprintf(path, sizeof path, "%s/.local/bin%s", home, slash) >= static_cast<int>(sizeof path))
    fail("--wrap: HOME is too long");
  char directory[PATH_MAX];
  static constexpr const char* kParts[] = {"/.local", "/.local/bin"};
  for (const char* part : kParts) {
    snprintf(directory, sizeof directory, "%s%s", home, part);
    mkdir(directory, 0777);  // if that fails, so does the file
  }
}

// Beside its name, then renamed: who runs it meanwhile has the old one.
void write_file(const char* path, const Text& text) {
  if (access(path, F_OK) == 0 && !is_wrapper(path))
    fail("--wrap: %s is there, and no wrapper: remove it, or use -o", path);
  char temporary[PATH_MAX + 8];
  snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
  const UniqueFd file(mkostemp(temporary, O_CLOEXEC));
  if (!file.valid()) fail("--wrap: write %s: %s", path, strerror(errno));
  const mode_t mask = umask(0);
  umask(mask);
  if (text.write_to(file.get()) && fchmod(file.get(), 0777 & ~mask) == 0 && rename(temporary, path) == 0)
    return;
  const int error = errno;
  unlink(temporary);
  fail("--wrap: write %s: %s", path, strerror(error));
}

// Whether a shell finds `file` where it now finds `program`.
bool comes_first(const char* file, const char* program) {
  const char* const name = strrchr(program, '/');
  const char* at = getenv("PATH");
  for (; at != nullptr && *at != '\0'; at += *at == ':' ? 1 : 0) {
    const auto length = static_cast<int>(strcspn(at, ":"));
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s%s", length, at, name);
    if (strcmp(path, file) == 0) return true;
    if (strcmp(path, program) == 0) return false;
    at += length;
  }
  return false;
}

}  // namespace

int wrap(char** argv) {
  static char moonlet[fallback::kBesideRoom];
  static char file[PATH_MAX];
  const Wish wish = read_wish(argv);
  WrappedProgram program(wish.program);
  program.ask_interpreter();
  if (!fallback::find_beside("moonlet", moonlet)) fail("--wrap: find moonlet: %s", strerror(errno));
  const Text modules = Trials(program, moonlet, wish.arguments).choose();
  Text text;
  write_wrapper(text, program, moonlet, modules);
  if (wish.file == nullptr) choose_file(program.path(), file);
  const char* const written = wish.file != nullptr ? wish.file : file;
  write_file(written, text);
  printf("%s starts %s with these modules warm:\n  %s\n", written, program.path(), modules.bytes());
  if (wish.file == nullptr && !comes_first(file, program.path()))
    printf("A shell still finds %s first: put the directory of the other in front of PATH.\n", program.path());
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace moonlet::ctl
