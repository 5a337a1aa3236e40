#include "freeze/questions.h"

#include "freeze/files.h"
#include "freeze/interposed.h"
#include "freeze/log.h"
#if defined(MOONLET_TRACER)
#include "freeze/tracer.h"
#endif
#include "freeze/world.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::freeze::questions {

namespace {

#if !defined(__GLIBC__)
// Of /lib/ld-musl-NAME.so.1, which the program itself names, it is /etc/ld-musl-NAME.path.
void ask_musl_paths(Log* log) {
  const auto* header = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const ElfW(Phdr)* interpreter = nullptr;
  uintptr_t base = 0;
  for (unsigned long i = 0; header != nullptr && i < getauxval(AT_PHNUM); i++) {
    if (header[i].p_type == PT_PHDR) base = reinterpret_cast<uintptr_t>(header) - header[i].p_vaddr;
    if (header[i].p_type == PT_INTERP) interpreter = header + i;
  }
  if (interpreter == nullptr) return;
  const char* linker = reinterpret_cast<const char*>(base + interpreter->p_vaddr);
  const char* name = strrchr(linker, '/');
  const char* end = name != nullptr ? strstr(name, ".so.") : nullptr;
  if (end == nullptr) return;
  char path[128];
  snprintf(path, sizeof path, "/etc%.*s.path", static_cast<int>(end - name), name);
  ask_path(log, Asks::kOpen, path);
}
#endif

// What the dynamic linker and malloc have read before anybody could see it.
void ask_what_every_program_asks(Log* log) {
  ask_variables(log, "LD_");
  ask_variables(log, "MALLOC_");
  ask_variable(log, "GLIBC_TUNABLES");
#if defined(__GLIBC__)
  ask_path(log, Asks::kOpen, "/etc/ld.so.preload");
  ask_path(log, Asks::kOpen, "/etc/ld.so.cache");
#else
  ask_musl_paths(log);
#endif
}

}  // namespace

void begin(const Options& options) {
  Log* log = Log::create(options, environ);
  if (log == nullptr) {
    constexpr char kNoMemory[] = "moonlet-lua: no memory for the questions of a warm-up\n";
    (void)!write(STDERR_FILENO, kNoMemory, sizeof kNoMemory - 1);
    _exit(1);
  }
  recorded = log;
  forget_file_systems();
  find_libc_functions();
#if defined(MOONLET_TRACER)
  is_traced = fork_traced(log);
#endif
  ask_what_every_program_asks(log);
  recording = log;
}

void forgive_seed() {
  if (recording == nullptr) return;
  recording->withdraw_problem(Matter::kClock, kTheClock);
  recording->withdraw_problem(Matter::kRandom, kGetrandom);  // LuaJIT's
}

void end() {
  if (recording == nullptr) return;
  __atomic_store_n(&recording->is_over, 1U, __ATOMIC_RELEASE);
  recording = nullptr;
}

void note_asker(const char* module) {
  if (recording == nullptr) return;
  if (recording->withdraw_problem(Matter::kClock, kTheClock))
    recording->add_problem(Matter::kClock, module != nullptr ? module : "the script");
  recording->add_asker(module != nullptr ? module : "");
}

bool can_execute_again() { return is_traced; }

void execute_again(const char* const* argv, int argc) {
  auto** const copies =
      static_cast<char**>(recorded->allocate((static_cast<size_t>(argc) + 1) * sizeof(char*)));
  if (copies == nullptr) return;
  for (int i = 0; i < argc; i++) {
    const size_t size = strlen(argv[i]) + 1;
    copies[i] = static_cast<char*>(recorded->allocate(size));
    if (copies[i] == nullptr) return;
    memcpy(copies[i], argv[i], size);
  }
  recorded->again = copies;
  _exit(EXIT_FAILURE);
}

Pause::Pause() { end(); }

Pause::~Pause() {
  recording = recorded;
  __atomic_store_n(&recorded->is_over, 0U, __ATOMIC_RELEASE);
}

Mapping mapping() { return recorded != nullptr ? recorded->mapping() : Mapping{0, 0}; }

void forget() {
  end();
  if (recorded != nullptr) recorded->destroy();
  recorded = nullptr;
}

const char* describe(Matter matter) {
  static constexpr const char* kWords[] = {
      "a file changed while it was read: ",
      "a file that is never the same was read: ",
      "what no other run can read again was read: ",
      "a device was opened: ",
      "a connection was made: ",
      "what was asked could not be seen: ",
      "a child process was started: ",
      "the program asked for itself: ",
      "the time was asked by: ",
      "random numbers were drawn: ",
  };
  static_assert(sizeof kWords / sizeof *kWords == static_cast<size_t>(Matter::kLast) + 1);
  return kWords[static_cast<size_t>(matter)];
}

}  // namespace moonlet::freeze::questions
