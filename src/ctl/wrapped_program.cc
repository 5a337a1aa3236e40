#include "ctl/wrapped_program.h"

#include "base/unique_fd.h"
#include "ctl/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if MOONLET_LUA_CODE == 502
#define MOONLET_VERSIONED_INIT "LUA_INIT_5_2"
#elif MOONLET_LUA_CODE == 503
#define MOONLET_VERSIONED_INIT "LUA_INIT_5_3"
#elif MOONLET_LUA_CODE == 504
#define MOONLET_VERSIONED_INIT "LUA_INIT_5_4"
#elif MOONLET_LUA_CODE == 505
#define MOONLET_VERSIONED_INIT "LUA_INIT_5_5"
#else
#define MOONLET_VERSIONED_INIT "LUA_INIT"
#endif

namespace moonlet::ctl {

namespace {

// Runs in front of the program, and leaves `arg` alone. Writes the lists anew whenever they change: no hook
// sees every end of a program. A module that is the program itself, and so never returns, is in none of them.
// Programs that this one starts find that the file is in use.
constexpr char kWatchRequire[] = R"(
local path, open = os.getenv("MOONLET_WRAP"), io.open
local file = path and open(path, "r+")
if not file or file:read(1) then return end
local loaded, really_require = package.loaded, require
local all, outermost = {}, {}
local function write()
  local file = open(path, "w")
  if not file then return end
  for _, list in ipairs { all, outermost } do
    for _, name in ipairs(list) do file:write(name, "\n") end
    file:write("\n")
  end
  file:close()
end
file:close()
write()
local function returned(name, before, ...)
  for i = #outermost, before + 1, -1 do outermost[i] = nil end
  if not name:find("[^%w_.-]") then
    all[#all + 1] = name
    outermost[before + 1] = name
  end
  write()
  return ...
end
function require(name)
  if type(name) ~= "string" or loaded[name] then return really_require(name) end
  return returned(name, #outermost, really_require(name))
end
)";

// Runs as if it were the program: which Lua it has, how that is called, with which options.
constexpr char kQuestion[] = R"(
io.write(jit and "LuaJIT" or _VERSION, "\0")
local first = -1
while arg[first - 1] do first = first - 1 end
for i = first, -1 do io.write(arg[i], "\0") end
)";

bool is_program(const char* path) {
  struct stat status;
  return access(path, X_OK) == 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

// Reads up to `size` - 1 bytes, and puts a zero behind them. Returns how many.
size_t read_beginning(int file, char* text, size_t size) {
  const ssize_t got = pread(file, text, size - 1, 0);
  text[got > 0 ? got : 0] = '\0';
  return got > 0 ? static_cast<size_t>(got) : 0;
}

UniqueFd open_temporary() {
  const char* const directory = getenv("TMPDIR");
  UniqueFd file(open(directory != nullptr ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid()) fail("--wrap: open a temporary file: %s", strerror(errno));
  return file;
}

UniqueFd open_nothing() { return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)); }

// The path of `file` for children of this process.
struct PathOf {
  char text[48];
  explicit PathOf(const UniqueFd& file) { snprintf(text, sizeof text, "/proc/%d/fd/%d", getpid(), file.get()); }
};

// The bytes of the program's first lines that are comments: the first one names its interpreter, and others
// may say with which Lua that shall run it (Debian's lua-any).
size_t length_of_comments(const char* text) {
  const char* at = text + strcspn(text, "\n");
  while (strncmp(at, "\n--", 3) == 0 && at[3] != '[') at += 1 + strcspn(at + 1, "\n");
  return static_cast<size_t>(at - text);
}

void add_all(const UniqueFd& file, Text& text) {
  char bytes[4096];
  off_t at = 0;
  for (ssize_t got = 0; (got = pread(file.get(), bytes, sizeof bytes, at)) > 0; at += got)
    text.add(bytes, static_cast<size_t>(got));
}

// Runs `words`, then `script`, then `arguments`.
Outcome capture(char* const* words, const char* script, char** arguments) {
  size_t count = 0;
  size_t more = 0;
  while (words[count] != nullptr) count++;
  while (arguments[more] != nullptr) more++;
  char** const argv = static_cast<char**>(calloc(count + 1 + more + 1, sizeof(char*)));
  if (argv == nullptr) fail("not enough memory");
  memcpy(argv, words, count * sizeof *argv);
  argv[count] = const_cast<char*>(script);
  memcpy(argv + count + 1, arguments, more * sizeof *argv);
  const UniqueFd output(open_temporary());
  const UniqueFd errors(open_temporary());
  Outcome outcome;
  outcome.status = run_and_wait(argv, output.get(), errors.get());
  add_all(output, outcome.output);
  add_all(errors, outcome.errors);
  free(argv);
  return outcome;
}

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

bool are_alike(const char* a, const char* b) {
  while (*a != '\0' && *b != '\0') {
    if (is_digit(*a) && is_digit(*b)) {
      while (is_digit(*a)) a++;
      while (is_digit(*b)) b++;
    } else if (*a++ != *b++) {
      return false;
    }
  }
  return *a == *b;
}

}  // namespace

bool Outcome::is_like(const Outcome& other) const {
  return status == other.status && are_alike(output.bytes(), other.output.bytes()) &&
         are_alike(errors.bytes(), other.errors.bytes());
}

bool is_wrapper(const char* path) {
  char head[256];
  const UniqueFd file(open(path, O_RDONLY | O_CLOEXEC));
  return read_beginning(file.get(), head, sizeof head) > 0 && strstr(head, kWrapperMark) != nullptr;
}

int run_and_wait(char** argv, int output, int error) {
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
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

WrappedProgram::WrappedProgram(const char* name) {
  if (strchr(name, '/') != nullptr) {
    if (!is_program(name) || realpath(name, path_) == nullptr) fail("--wrap: there is no program %s", name);
    if (is_wrapper(path_)) fail("--wrap: %s is a wrapper already", name);
    return;
  }
  const char* at = getenv("PATH");
  if (at == nullptr) at = "/usr/bin:/bin";
  for (; *at != '\0'; at += *at == ':' ? 1 : 0) {
    const auto length = static_cast<int>(strcspn(at, ":"));
    snprintf(path_, sizeof path_, "%.*s/%s", length, at, name);
    if (*at == '/' && is_program(path_) && !is_wrapper(path_)) return;
    at += length;
  }
  fail("--wrap: there is no program %s on PATH", name);
}

void WrappedProgram::ask_interpreter() {
  char head[4096];
  const UniqueFd program(open(path_, O_RDONLY | O_CLOEXEC));
  if (!program.valid()) fail("--wrap: open %s: %s", path_, strerror(errno));
  read_beginning(program.get(), head, sizeof head);
  if (strncmp(head, "#!", 2) != 0) fail("--wrap: %s is no script: its first line names no interpreter", path_);

  const UniqueFd question(open_temporary());
  const size_t length = length_of_comments(head);
  if (write(question.get(), head, length) != static_cast<ssize_t>(length) ||
      write(question.get(), kQuestion, sizeof kQuestion - 1) != static_cast<ssize_t>(sizeof kQuestion - 1))
    fail("--wrap: write a temporary file: %s", strerror(errno));

  // As the kernel does (execve(2), interpreter scripts): all that follows the name is one argument.
  head[strcspn(head, "\n")] = '\0';
  char* const name = head + 2 + strspn(head + 2, " \t");
  char* rest = name + strcspn(name, " \t");
  if (*rest != '\0') *rest++ = '\0';
  rest += strspn(rest, " \t");
  for (size_t i = strlen(rest); i > 0 && strchr(" \t\r", rest[i - 1]) != nullptr; i--) rest[i - 1] = '\0';
  PathOf asked(question);
  char* argv[] = {name, *rest != '\0' ? rest : asked.text, *rest != '\0' ? asked.text : nullptr, nullptr};

  const UniqueFd answer(open_temporary());
  const UniqueFd nothing(open_nothing());
  const int status = run_and_wait(argv, answer.get(), nothing.get());
  const size_t size = read_beginning(answer.get(), answer_, sizeof answer_);
  if (status != 0 || size == 0) fail("--wrap: %s runs %s %s, which runs no Lua here", path_, name, rest);
  if (strcmp(answer_, MOONLET_LUA_NAME) != 0)
    fail("--wrap: %s is for %s (%s %s); this moonlet is for " MOONLET_LUA_NAME, path_, answer_, name, rest);
  int count = 0;
  for (char* at = answer_ + strlen(answer_) + 1; at < answer_ + size; at += strlen(at) + 1) {
    if (count == kMostWords) fail("--wrap: %s: too many options in its first line", path_);
    interpreter_[count++] = at;
  }
  if (count == 0) fail("--wrap: %s runs %s, which does not say how it is called", path_, name);
}

Outcome WrappedProgram::run(char** arguments, LoadedModules& modules) const {
  const UniqueFd lists(open_temporary());
  // The second one is read in the place of the first, by those that know it.
  const char* const versioned = MOONLET_VERSIONED_INIT;
  setenv("MOONLET_WRAP", PathOf(lists).text, 1);
  setenv("LUA_INIT", kWatchRequire, 1);
  setenv(versioned, kWatchRequire, 1);
  Outcome outcome = capture(interpreter_, path_, arguments);
  unsetenv("MOONLET_WRAP");
  unsetenv("LUA_INIT");
  unsetenv(versioned);
  static char found[64 << 10];
  const size_t size = read_beginning(lists.get(), found, sizeof found);
  const char* const between = *found == '\n' ? found : strstr(found, "\n\n");
  if (between == nullptr) return outcome;
  const char* const second = between + (between == found ? 1 : 2);
  modules.all.add(found, static_cast<size_t>(second - 1 - found));
  const size_t rest = size - static_cast<size_t>(second - found);
  modules.outermost.add(second, rest > 0 ? rest - 1 : 0);
  return outcome;
}

Outcome WrappedProgram::run_warm(char* moonlet, char* image, char** arguments) const {
  static char option[] = "--image";
  static char name[] = "--argv0";
  char* words[kMostWords + 5] = {moonlet, option, image, name};
  memcpy(words + 4, interpreter_, sizeof interpreter_);
  setenv("MOONLET_FALLBACK", "", 1);
  Outcome outcome = capture(words, path_, arguments);
  unsetenv("MOONLET_FALLBACK");
  return outcome;
}

}  // namespace moonlet::ctl
