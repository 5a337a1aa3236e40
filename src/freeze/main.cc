// moonlet-lua: lua that freezes itself at the end of its script, and goes on from there in each launch. moonlet
// --freeze starts it (image/start.h).

#if defined(MOONLET_LAYERS)
#include "freeze/carry_over.h"
#include "freeze/garbage.h"
#endif
#include "freeze/generators.h"
#include "freeze/interposed.h"
#include "freeze/left_out.h"
#include "freeze/leftovers.h"
#include "freeze/options.h"
#include "freeze/plain_exit.h"
#include "freeze/process_id.h"
#include "freeze/questions.h"
#include "freeze/redone.h"
#include "freeze/write.h"
#include "image/complain.h"
#include "image/dispositions.h"
#include "image/fork_handlers.h"
#include "image/freeze.h"
#include "image/held_mutexes.h"
#include "image/launch.h"
#include "image/libc_state.h"
#include "image/memory_calls.h"
#include "image/rehearsal.h"
#include "image/resume.h"
#include "image/start.h"
#include "lua/collector.h"
#include "lua/command_line.h"
#include "lua/finalizers.h"
#include "lua/finish.h"
#include "lua/host.h"
#include "lua/interpreter.h"
#include "lua/lua_api.h"
#include "lua/modules.h"
#include "lua/needs.h"
#include "lua/random_numbers.h"
#include "lua/requiring.h"
#include "lua/sealed_heap.h"
#include "lua/state.h"
#include "lua/streams.h"
#include "lua/threaded_heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

lua_State* state = nullptr;
bool with_entropy = false;  // a warm-up has asked for the time or for random numbers

// Whether moonlet has started this program, with the variable that only this program's loader was to see.
bool take_bind_now() {
  if (environ[0] == nullptr || strcmp(environ[0], image::kBindNow) != 0) return false;
  environ++;
  return true;
}

// Calls it in protected mode. False, with a message, if there is no memory for it.
bool call(lua_CFunction function) {
  lua_pushcfunction(state, function);
  if (lua_pcall(state, 0, 0, 0) == LUA_OK) return true;
  image::complain("%s", lua_tostring(state, -1));
  return false;
}

int seal_modules(lua_State* L) {
  requiring::seal(L);
  return 0;
}

#if defined(MOONLET_LAYERS)
int unseal_modules(lua_State* L) {
  requiring::unseal(L);
  return 0;
}
#endif

int look_at_modules(lua_State* L) {
  requiring::look_again(L);
  return 0;
}

// The name of the module that is being loaded. Null: none, or nobody knows.
const char* current_module() {
#if defined(MOONLET_OWN_PATH)
  if (const int module = requiring::current()) return needs::at(module).name;
#endif
  return nullptr;
}

#if defined(MOONLET_OWN_PATH)
// Where the loading of a module begins or ends: what has come since the last time is of the innermost one.
void note_what_came() {
  const char* const module = current_module();
  note_module(module);
  questions::note_asker(module);
}
#endif

// lua(1), in the state that the warm-up has left. Returns the status of the script.
int run(const image::Launch& launch) {
  const interpreter::Outline outline = interpreter::outline(launch.argv);
  if (outline.invalid || outline.other_engine_options) launch.fall_back("only lua itself explains options");
  warm::freshen(state);
  if (const char* problem = warm::thaw(state, outline.ignores_environment)) launch.fall_back(problem);
  if (const char* problem = redo()) launch.fall_back(problem);
  if (!call(look_at_modules)) exit(EXIT_FAILURE);
  image::restore_dispositions();
  if (launch.begin != nullptr) launch.begin();
  moonlet_host()->warm = true;
  return interpreter::run(state, launch.argc, launch.argv, interpreter::Purpose::kLaunch);
}

// What any script does, in an image that nobody has launched yet. It ends without what the warm-up has left for
// the end: that is each launch's.
[[noreturn]] void rehearse(char* path) {
  constexpr int kTold = 3;
  static char nothing[] = "/dev/null";
  static char code[] = "-elocal t = {}";  // nothing that a warm-up may have replaced
  static char* argv[] = {path, code, nothing, nullptr};
  const image::Launch launch = {3,      argv, environ, nullptr, 0, [](const char*) { _exit(EXIT_FAILURE); },
                                nullptr};
  const int status = run(launch);
  putchar('\n');  // to /dev/null
  fflush(nullptr);
  image::tell_written_pages(path, kTold);
  _exit(status);
}

// Whether a seed may be another one in another run. Where nobody has traced that is not known.
bool has_asked_for_entropy(const questions::Collected& asked) {
  for (uint32_t i = 0; i < asked.problem_count; i++) {
    const questions::Matter matter = asked.problems[i].matter;
    if (matter == questions::Matter::kClock || matter == questions::Matter::kRandom) return true;
  }
  return !asked.traced;
}

// Ends a warm-up of which no image is made. From 2.41 on glibc's exit(3) waits for a stream that a thread
// holds.
[[noreturn]] void refuse() {
#if defined(__GLIBC__)
  if (has_left_threads()) {
    if (ftrylockfile(stdout) == 0) fflush(stdout);
    _exit(EXIT_FAILURE);
  }
#endif
  exit(EXIT_FAILURE);
}

// What an image tells people: the names of its modules, then of those that asked for the time, where that is
// known. Without memory for that it tells nothing.
const char* const* make_notes(const questions::Collected& asked, uint32_t& module_count) {
  static const char* const none[] = {nullptr};
  const char* const* const modules = modules::names();
  module_count = 0;
  if (modules == nullptr) return none;
  while (modules[module_count] != nullptr) module_count++;
#if defined(MOONLET_OWN_PATH)
  auto** const notes =
      static_cast<const char**>(calloc(size_t{module_count} + asked.problem_count + 1, sizeof(const char*)));
  if (notes == nullptr) return modules;
  memcpy(notes, modules, module_count * sizeof *notes);
  const char** end = notes + module_count;
  for (uint32_t i = 0; i < asked.problem_count; i++) {
    if (asked.problems[i].matter == questions::Matter::kClock) *end++ = asked.problems[i].text;
  }
  return notes;
#else
  (void)asked;
  return modules;
#endif
}

#if defined(MOONLET_OWN_PATH)
// Whether an image without the module that has asked for it is right.
bool can_be_left_out(questions::Matter matter) {
  return matter != questions::Matter::kChanged && matter != questions::Matter::kHidden;
}
#endif

// Says what the warm-up has asked that no launch can be compared for. Returns how much of that there is,
// without what modules have asked that can be left out for it; that is added to `left`.
int complain_of_problems(const questions::Collected& asked, int& left) {
  int count = 0;
  for (uint32_t i = 0; i < asked.problem_count; i++) {
    const questions::Problem& it = asked.problems[i];
    if (it.matter > questions::Matter::kLastThatRefuses) continue;
    const char* const what = questions::describe(it.matter);
#if defined(MOONLET_OWN_PATH)
    if (it.module != nullptr) {
      image::complain("module %s: %s%s", it.module, what, it.text);
      if (can_be_left_out(it.matter)) observe_leaver(it.module);
      (can_be_left_out(it.matter) ? left : count)++;
      continue;
    }
#else
    (void)left;
#endif
    count += image::complain("%s%s", what, it.text);
  }
  return count;
}

// What there is now is none of the warm-up's doing.
void remember() {
  const questions::Pause pause;
  remember_process();
  remember_what_may_be_redone();
  image::remember_dispositions();
}

// Returns its exit status.
int warm_up(const Options& options, interpreter::Purpose purpose) {
  questions::observe_thread = [] {
    heap::expect_threads();
    note_thread_of(current_module());
  };
  questions::observe_buffering = streams::note_buffering;
  interpreter::observe_module = [](const char* name) {
    const questions::Pause pause;
#if defined(MOONLET_OWN_PATH)
    (void)name;
    requiring::note_option(state);
#else
    note_module(name);
#endif
  };
#if defined(MOONLET_OWN_PATH)
  requiring::observe = note_what_came;
#endif
  const int status = interpreter::run(state, options.argc, options.argv, purpose);
  interpreter::observe_module = nullptr;
  questions::observe_thread = heap::expect_threads;
#if defined(MOONLET_OWN_PATH)
  note_what_came();
  requiring::observe = nullptr;
#endif
  return status;
}

// Ends the warm-up, and writes the image.
[[noreturn]] void finish(const Options& options, Source source) {
#if defined(MOONLET_LUAJIT)
  luaJIT_setmode(state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);  // compiled code is this process'
#endif
  collector::collect_garbage(state);  // finalizers are the warm-up's
  questions::end();
  questions::observe_buffering = nullptr;
  const questions::Collected asked = questions::collect();
  const int lost = keep_what_is_redone();
  with_entropy |= has_asked_for_entropy(asked);
  const bool libc_is_seeded = prepare_generators(with_entropy);
  random_numbers::go_on(state, with_entropy, libc_is_seeded);
  if (!call(seal_modules)) exit(EXIT_FAILURE);
  heap::clear_at_seal();
  if (!has_left_threads()) warm::seal(state);  // else one may hold a stream, and all are to be flushed
  int left = complain_of_leftovers();
  const int others = lost + complain_of_problems(asked, left);
  const int needing = others == 0 ? run_without_leavers() : 0;
  if (left + others + needing != 0) refuse();
  if (!prepare_plain_exit()) finalizers::close_always();
  image::keep_dispositions();
  const auto heap = static_cast<uint32_t>(lua_gc(state, LUA_GCCOUNT, 0));
  uint32_t module_count = 0;
  const char* const* const notes = make_notes(asked, module_count);
#if defined(MOONLET_LAYERS)
  forget_garbage(state);
#endif
  image::call_prepare_handlers();
#if defined(MOONLET_LAYERS)
  heap::Dropped dropped[heap::kMostDropped];
  image::Range unused[heap::kMostDropped];
  source.unused_count = static_cast<size_t>(heap::take_dropped(dropped));
  for (size_t i = 0; i < source.unused_count; i++) unused[i] = {dropped[i].at, dropped[i].at + dropped[i].size};
  source.unused = unused;
#endif
  // What a module has registered for the end is each launch's.
  _exit(write_image(options, asked, source, notes, module_count, heap));
}

#if defined(MOONLET_LAYERS)

[[noreturn]] void thawed(const image::Launch* launch);

[[noreturn]] void fail(const char* problem) {
  image::complain("%s", problem);
  exit(EXIT_FAILURE);
}

// In an image that moonlet has thawed in order to freeze another one on it. What its warm-up has changed of its
// process is changed here too, and becomes a part of what the other's has changed.
[[noreturn]] void warm_up_further(const image::Resumption& resumption) {
  int argc = 0;
  while (resumption.argv[argc] != nullptr) argc++;
  if (!image::take_environment()) fail("not enough memory");
  Options options = {};
  read_options(argc, resumption.argv, options);
  begin_to_leave_out(options);
  image::look_at_held_mutexes(image::thread_id());  // handlers of forks have released some
  questions::begin({options.ignore, static_cast<size_t>(options.ignored), options.trust});
  image::hand_over_mutexes(image::thread_id());  // to the process that has been forked
  questions::carry_over(resumption.base);
  remember();
  const char* problem;
  {
    const questions::Pause pause;
    problem = warm::thaw(state, interpreter::outline(options.argv).ignores_environment);
    if (problem == nullptr) problem = redo();
    if (problem == nullptr && !call(look_at_modules)) exit(EXIT_FAILURE);
    image::restore_dispositions();
    if (!call(unseal_modules)) exit(EXIT_FAILURE);
    warm::unseal(state);
    heap::hold_sealed(image::was_heap);
    forget_own_seeds();
  }
  if (problem != nullptr) fail(problem);
  const int status = warm_up(options, interpreter::Purpose::kFurtherWarmUp);
  if (status != EXIT_SUCCESS) exit(status);
  finish(options, {thawed, resumption.stack_room, 0, resumption.base, nullptr, 0});
}

#endif

// The other side of the jump. First libc is mended, because all else uses it.
[[noreturn]] void thawed(const image::Launch* launch) {
  image::mend(*launch);
#if defined(MOONLET_LAYERS)
  if (launch->argc == image::kResumes) {
    image::call_child_handlers();
    warm_up_further(static_cast<const image::Resumption&>(*launch));
  }
#endif
  seed_generators();
  reveal_process_id();
  image::call_child_handlers();
  if (launch->argc == 0) rehearse(launch->argv[0]);
  warm::finish(state, run(*launch));
}

}  // namespace

}  // namespace moonlet::freeze

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::freeze;
  if (!take_bind_now()) {
    fputs("moonlet-lua: it is started by: moonlet --freeze IMAGE [lua's options] [script [args]]\n", stderr);
    return EXIT_FAILURE;
  }
  const auto block = reinterpret_cast<uintptr_t>(argv) - sizeof(long);
  image::find_libc_state(block);
  Options options = {};
  read_options(argc, argv, options);
  begin_to_leave_out(options);
  questions::begin({options.ignore, static_cast<size_t>(options.ignored), options.trust});
  remember();
  warm::observe_opening = [](lua_State* L) {
    requiring::install(L);
    questions::forgive_seed();
  };
  state = warm::new_state(heap::allocate_in_any_thread);
  if (state == nullptr) {
    fprintf(stderr, "%s: not enough memory\n", argv[0]);
    return EXIT_FAILURE;
  }
  const int status = warm_up(options, interpreter::Purpose::kWarmUp);
  if (status != EXIT_SUCCESS) return status;
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  finish(options, {thawed, image::unkept_stack(block), frame, {}, nullptr, 0});
}
