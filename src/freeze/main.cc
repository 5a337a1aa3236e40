// moonlet-lua: lua that freezes itself at the end of its script, and goes on from there in each launch. moonlet
// --freeze starts it (image/start.h).

#include "freeze/carry_over.h"
#include "freeze/generators.h"
#include "freeze/leftovers.h"
#include "freeze/options.h"
#include "freeze/plain_exit.h"
#include "freeze/process_id.h"
#include "freeze/questions.h"
#include "freeze/redone.h"
#include "freeze/write.h"
#include "image/dispositions.h"
#include "image/fork_handlers.h"
#include "image/freeze.h"
#include "image/held_mutexes.h"
#include "image/launch.h"
#include "image/libc_state.h"
#include "image/rehearsal.h"
#include "image/start.h"
#include "lua/collector.h"
#include "lua/command_line.h"
#include "lua/finalizers.h"
#include "lua/finish.h"
#include "lua/host.h"
#include "lua/interpreter.h"
#include "lua/lua_api.h"
#include "lua/random_numbers.h"
#include "lua/sealed_heap.h"
#include "lua/state.h"

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

// lua(1), in the state that the warm-up has left. Returns the status of the script.
int run(const image::Launch& launch) {
  const interpreter::Outline outline = interpreter::outline(launch.argv);
  if (outline.invalid || outline.other_engine_options) launch.fall_back("only lua itself explains options");
  warm::freshen(state);
  if (const char* problem = warm::thaw(state, outline.ignores_environment)) launch.fall_back(problem);
  if (const char* problem = redo()) launch.fall_back(problem);
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
  const image::Launch launch = {3,       argv,    environ, nullptr, 0, [](const char*) { _exit(EXIT_FAILURE); },
                                nullptr, nullptr, {}};
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

// Says what the warm-up has asked that no launch can be compared for. Returns how much of that there is.
int complain_of_problems(const questions::Collected& asked) {
  int count = 0;
  for (uint32_t i = 0; i < asked.problem_count; i++) {
    const questions::Problem& it = asked.problems[i];
    if (it.matter > questions::Matter::kLastThatRefuses) continue;
    fprintf(stderr, "moonlet: freeze: %s%s\n", questions::describe(it.matter), it.text);
    count++;
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

int warm_up(const Options& options, interpreter::Purpose purpose) {
  interpreter::observe_module = [](const char* name) {
    const questions::Pause pause;
    note_module(name);
  };
  const int status = interpreter::run(state, options.argc, options.argv, purpose);
  interpreter::observe_module = nullptr;
  return status;
}

// Finalizers are the warm-up's. Where it has left descriptors they may be of garbage that is older than what is
// collected first.
void collect_garbage() {
  collector::collect_garbage(state);
  bool has_left_any;
  {
    const questions::Pause pause;
    has_left_any = has_left_descriptors();
  }
  if (has_left_any) lua_gc(state, LUA_GCCOLLECT, 0);
}

[[noreturn]] void thawed(const image::Launch* launch);

// Ends the warm-up and writes the image. `stack`, `frame`, `base`: as in image/freeze.h.
[[noreturn]] void finish(const Options& options, image::Range stack, uintptr_t frame, image::Tables base) {
#if defined(MOONLET_LUAJIT)
  luaJIT_setmode(state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);  // compiled code is this process'
#endif
  collect_garbage();
  questions::end();
  const questions::Collected asked = questions::collect();
  const int lost = keep_what_is_redone();
  with_entropy |= has_asked_for_entropy(asked);
  const bool libc_is_seeded = prepare_generators(with_entropy);
  random_numbers::go_on(state, with_entropy, libc_is_seeded);
  heap::clear_at_seal();
  collector::expect_more(options.is_base);
  warm::seal(state);
  if (lost + complain_of_leftovers() + complain_of_problems(asked) != 0) exit(EXIT_FAILURE);
  if (!prepare_plain_exit()) finalizers::close_always();
  image::keep_dispositions();
  image::call_prepare_handlers();
  _exit(write_image(options, asked, thawed, stack, frame,
                    base));  // what a module has registered for the end is each launch's
}

[[noreturn]] void fail(const char* program, const char* problem) {
  fprintf(stderr, "%s: %s\n", program, problem);
  exit(EXIT_FAILURE);
}

// In an image that moonlet has thawed in order to freeze another one on it: what its warm-up has changed of its
// process is changed here too, and becomes a part of what the other's has changed.
[[noreturn]] void warm_up_further(const image::Launch& launch) {
  const image::Tables base = {launch.base};
  if (!image::take_environment()) fail(launch.argv[0], "not enough memory");
  Options options = {};
  read_options(launch.argc, launch.argv, options);
  questions::begin({options.ignore, static_cast<size_t>(options.ignored), options.trust});
  image::hand_over_mutexes(image::thread_id());  // to the process that questions::begin() has forked
  questions::carry_over(base);
  remember();
  const char* problem;
  {
    const questions::Pause pause;
    warm::freshen(state);
    problem = warm::thaw(state, interpreter::outline(options.argv).ignores_environment);
    warm::go_on(state);
    forget_own_seeds();
  }
  if (problem == nullptr) problem = redo();
  if (problem != nullptr) fail(launch.argv[0], problem);
  image::restore_dispositions();
  const int status = warm_up(options, interpreter::Purpose::kFurtherWarmUp);
  if (status != EXIT_SUCCESS) exit(status);
  finish(options, launch.stack_room, 0, base);
}

// The other side of the jump. First libc is mended, because all else uses it.
void thawed(const image::Launch* launch) {
  image::mend(*launch);
  seed_generators();
  if (launch->base != nullptr) {
    image::call_child_handlers();
    warm_up_further(*launch);
  }
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
  questions::begin({options.ignore, static_cast<size_t>(options.ignored), options.trust});
  remember();
  warm::observe_opening = questions::forgive_seed;
  state = warm::new_state();
  if (state == nullptr) fail(argv[0], "not enough memory");
  const int status = warm_up(options, interpreter::Purpose::kWarmUp);
  if (status != EXIT_SUCCESS) return status;
  finish(options, image::unkept_stack(block), reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), {});
}
