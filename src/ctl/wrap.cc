#include "ctl/wrap.h"

#include "base/unique_fd.h"
#include "ctl/fail.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace moonlet::ctl {

namespace {

constexpr char kMark[] = "# Made by moonlet --wrap";

// Runs in front of the program, in the Lua that its first line names. Writes the list anew whenever it changes:
// no hook sees every end of a program. Of modules that load others the list has the outermost; a module that is
// the program itself, and so never returns, is none of them.
char watch_require[] = R"(
local path, open, concat = os.getenv("MOONLET_WRAP"), io.open, table.concat
local loaded, really_require = package.loaded, require
local list = {}
local function returned(name, before, ...)
  for i = #list, before + 1, -1 do list[i] = nil end
  list[before + 1] = name
  local file = open(path, "w")
  if file then
    file:write("-l ", concat(list, " -l "))
    file:close()
  end
  return ...
end
function require(name)
  if loaded[name] then return really_require(name) end
  return returned(name, #list, really_require(name))
end
)";

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

bool is_file(const char* path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

// As a shell finds it, but for wrappers that were made here: what they wrap comes behind them.
bool is_wrapper(const char* path) {
  char head[256] = "";
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t got = read(file.get(), head, sizeof head - 1);
  return got > 0 && strstr(head, kMark) != nullptr;
}

void find_program(const char* name, char (&path)[PATH_MAX]) {
  if (strchr(name, '/') != nullptr) {
    if (!is_file(name) || realpath(name, path) == nullptr) fail("--wrap: there is no program %s", name);
    if (is_wrapper(path)) fail("--wrap: %s is a wrapper already", name);
    return;
  }
  const char* directories = getenv("PATH");
  for (const char* at = directories != nullptr ? directories : "/usr/bin:/bin"; *at != '\0';) {
    const auto length = static_cast<int>(strcspn(at, ":"));
    snprintf(path, sizeof path, "%.*s/%s", length, at, name);
    if (length > 0 && *at == '/' && access(path, X_OK) == 0 && is_file(path) && !is_wrapper(path)) return;
    at += length;
    if (*at == ':') at++;
  }
  fail("--wrap: there is no program %s on PATH", name);
}

// Words of a program's first line, if it is a script's.
struct Interpreter {
  char line[PATH_MAX] = "";
  char* argv[4] = {};
  const char* name = "";  // without directories, and without env(1)
};

void read_interpreter(const char* path, Interpreter& found) {
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) fail("--wrap: open %s: %s", path, strerror(errno));
  const ssize_t got = read(file.get(), found.line, sizeof found.line - 1);
  found.line[got > 0 ? got : 0] = '\0';
  found.line[strcspn(found.line, "\n")] = '\0';
  if (strncmp(found.line, "#!", 2) != 0) fail("--wrap: %s is no script", path);
  constexpr size_t kMost = sizeof found.argv / sizeof *found.argv - 1;
  size_t count = 0;
  char* rest = found.line + 2;
  while (count < kMost) {
    rest += strspn(rest, " \t");
    if (*rest == '\0') break;
    found.argv[count++] = rest;
    rest += strcspn(rest, " \t");
    if (*rest != '\0') *rest++ = '\0';
  }
  if (count == 0) fail("--wrap: %s is no script", path);
  size_t at = 0;
  const char* slash = strrchr(found.argv[0], '/');
  if (strcmp(slash != nullptr ? slash + 1 : found.argv[0], "env") == 0 && count > 1) at = 1;
  slash = strrchr(found.argv[at], '/');
  found.name = slash != nullptr ? slash + 1 : found.argv[at];
  if (strncmp(found.name, "lua", 3) != 0) fail("--wrap: %s is no Lua program: it runs %s", path, found.name);
}

// Runs `argv`, with `output` as its standard output; its standard error is `error`. Returns its wait status.
int run(char** argv, int output, int error) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error, STDERR_FILENO);
  pid_t pid = 0;
  const int problem = posix_spawnp(&pid, argv[0], &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) fail("--wrap: run %s: %s", argv[0], strerror(problem));
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

// What a temporary file holds, in `text`.
void read_back(int file, char* text, size_t size) {
  const ssize_t got = pread(file, text, size - 1, 0);
  text[got > 0 ? got : 0] = '\0';
}

int open_temporary() {
  const char* const directory = getenv("TMPDIR");
  const int file = open(directory != nullptr ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) fail("--wrap: open a temporary file: %s", strerror(errno));
  return file;
}

// Asks the Lua of the first line which one it is. Debian's lua-any takes the first that a comment of the
// program names; that is the program's business, and so what is asked is a program with the same comment.
void demand_own_lua(const char* path, Interpreter& found) {
  static char option[] = "-e";
  static char code[] = "io.write(jit and 'LuaJIT' or _VERSION)";
  if (strcmp(found.name, "lua-any") == 0) {
    char head[1024] = "";
    const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
    const ssize_t got = read(file.get(), head, sizeof head - 1);
    head[got > 0 ? got : 0] = '\0';
    const char* const versions = strstr(head, "Lua-Versions:");
    char wanted[16];
    snprintf(wanted, sizeof wanted, " %s", strlen(MOONLET_LUA_NAME) > 4 ? MOONLET_LUA_NAME + 4 : "");
    const size_t length = versions != nullptr ? strcspn(versions, "\n") : 0;
    const char* const listed = versions != nullptr ? strstr(versions, wanted) : nullptr;
    if (versions != nullptr && (listed == nullptr || listed > versions + length))
      fail("--wrap: %s is for other Luas than " MOONLET_LUA_NAME ": %.*s", path, static_cast<int>(length),
           versions);
    static char fallback[] = MOONLET_FALLBACK_NAME;
    found.argv[0] = fallback;
    found.argv[1] = nullptr;
  }
  size_t count = 0;
  while (found.argv[count] != nullptr) count++;
  char* argv[8];
  memcpy(argv, found.argv, count * sizeof *argv);
  argv[count] = option;
  argv[count + 1] = code;
  argv[count + 2] = nullptr;
  const UniqueFd file(open_temporary());
  const UniqueFd nothing(open("/dev/null", O_WRONLY | O_CLOEXEC));
  char name[64];
  const int status = run(argv, file.get(), nothing.get());
  read_back(file.get(), name, sizeof name);
  if (status != 0) fail("--wrap: %s runs %s, which does not run here", path, found.name);
  if (strcmp(name, MOONLET_LUA_NAME) != 0)
    fail("--wrap: %s runs %s, which is %s: this moonlet is for " MOONLET_LUA_NAME, path, found.name, name);
}

// Runs the program once, and writes to `modules` the options -l with which its modules are warm.
void find_modules(char* path, const Interpreter& found, char** arguments, char* modules, size_t size) {
  static char execute[] = "-e";
  size_t count = 0;
  while (arguments[count] != nullptr) count++;
  char** const argv = static_cast<char**>(calloc(count + 8, sizeof *argv));
  if (argv == nullptr) fail("not enough memory");
  char** at = argv;
  for (char* const* word = found.argv; *word != nullptr; word++) *at++ = *word;
  *at++ = execute;
  *at++ = watch_require;
  *at++ = path;
  memcpy(at, arguments, count * sizeof *at);
  const UniqueFd list(open_temporary());
  char name[64];
  snprintf(name, sizeof name, "/proc/%d/fd/%d", getpid(), list.get());
  setenv("MOONLET_WRAP", name, 1);
  const UniqueFd nothing(open("/dev/null", O_WRONLY | O_CLOEXEC));
  run(argv, nothing.get(), nothing.get());
  unsetenv("MOONLET_WRAP");
  free(argv);
  read_back(list.get(), modules, size);
  if (*modules == '\0')
    fail("--wrap: %s has loaded no module when it ran with %s: give it other arguments behind --", path,
         *arguments != nullptr ? *arguments : "no argument");
}

// moonlet, beside this program.
void find_moonlet(char (&path)[PATH_MAX]) {
  static constexpr char kName[] = "moonlet";
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof kName);
  while (length > 0 && path[length - 1] != '/') length--;
  if (length <= 0) fail("--wrap: find moonlet: %s", strerror(errno));
  memcpy(path + length, kName, sizeof kName);
}

// Freezes the modules once: what fails in the background later nobody would see.
void try_to_freeze(char* moonlet, const char* modules) {
  static char freeze[] = "--freeze";
  static char image[] = "/tmp/moonlet-wrap.XXXXXX";
  const UniqueFd file(mkostemp(image, O_CLOEXEC));
  char* const words = strdup(modules);
  char** const argv = static_cast<char**>(calloc(strlen(modules) + 4, sizeof *argv));
  if (!file.valid() || words == nullptr || argv == nullptr) fail("--wrap: %s: %s", image, strerror(errno));
  size_t count = 0;
  argv[count++] = moonlet;
  argv[count++] = freeze;
  argv[count++] = image;
  char* rest = words;
  while (char* const word = strsep(&rest, " ")) argv[count++] = word;
  const int status = run(argv, STDERR_FILENO, STDERR_FILENO);
  unlink(image);
  free(argv);
  free(words);
  if (status != 0) fail("--wrap: these modules cannot be made warm: %s", modules);
}

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

void choose_file(const char* program, char (&path)[PATH_MAX]) {
  const char* const home = getenv("HOME");
  if (home == nullptr || *home != '/') fail("--wrap: without HOME, say where it shall go: -o FILE");
  const char* const slash = strrchr(program, '/');
  snprintf(path, sizeof path, "%s/.local", home);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/.local/bin", home);
  mkdir(path, 0777);
  snprintf(path, sizeof path, "%s/.local/bin%s", home, slash);
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

// Whether a shell finds `file` where it now finds `program`, whose name it has.
bool comes_first(const char* file, const char* program) {
  const char* const slash = strrchr(file, '/');
  const size_t own = slash != nullptr ? static_cast<size_t>(slash - file) : 0;
  const size_t its = static_cast<size_t>(strrchr(program, '/') - program);
  const char* const directories = getenv("PATH");
  for (const char* at = directories != nullptr ? directories : ""; *at != '\0';) {
    const size_t length = strcspn(at, ":");
    if (length == own && memcmp(at, file, own) == 0) return true;
    if (length == its && memcmp(at, program, its) == 0) return false;
    at += length;
    if (*at == ':') at++;
  }
  return false;
}

}  // namespace

int wrap(char** argv) {
  static char program[PATH_MAX];
  static char moonlet[PATH_MAX];
  static char file[PATH_MAX];
  static char modules[16 << 10];
  static Interpreter interpreter;
  const Wish wish = read_wish(argv);
  find_program(wish.program, program);
  read_interpreter(program, interpreter);
  demand_own_lua(program, interpreter);
  find_moonlet(moonlet);
  find_modules(program, interpreter, wish.arguments, modules, sizeof modules);
  try_to_freeze(moonlet, modules);
  Text text;
  text.format("#!/bin/sh\n%s: it starts %s with its modules warm.\nMOONLET_WARM=", kMark, wish.program);
  add_quoted(text, modules);
  text.add(" exec ");
  add_quoted(text, moonlet);
  text.add(" ");
  add_quoted(text, program);
  text.add(" \"$@\"\n");
  if (wish.file != nullptr) {
    snprintf(file, sizeof file, "%s", wish.file);
  } else {
    choose_file(program, file);
  }
  write_file(file, text);
  printf("%s starts %s with these modules warm:\n  %s\n", file, program, modules);
  if (!comes_first(file, program))
    printf("A shell still finds %s first: put the directory of the other in front of PATH.\n", program);
  return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace moonlet::ctl
