// moonletd: lua that stops at the end of its script and hands out copies of itself.

#include "lua/image.h"
#include "lua/interpreter.h"
#include "lua/lua_api.h"
#include "zygote/become.h"
#include "zygote/descriptors.h"
#include "zygote/farewell.h"
#include "zygote/listener.h"
#include "zygote/log.h"
#include "zygote/options.h"
#include "zygote/page_tables.h"
#include "zygote/serve.h"
#include "zygote/warm_state.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// What a library calls shall be found once, here, and not in each child: glibc's loader leaves that to the
// first call of each function, unless LD_BIND_NOW tells it otherwise from its start. (musl's finds all at
// once.)
void bind_libraries(char** argv) {
#if defined(__GLIBC__)
  constexpr char kVariable[] = "LD_BIND_NOW";
  constexpr char kOwn[] = "moonletd";
  const char* value = getenv(kVariable);
  // Without a loader of its own, this is one that was told to run moonletd: what it would start anew is itself.
  if (value == nullptr && getauxval(AT_BASE) != 0) {
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0) return;
    program[length] = '\0';
    setenv(kVariable, kOwn, 1);
    execv(program, argv);
  }
  // Here too if that failed. One that was set by whoever started this program stays.
  if (value == nullptr || strcmp(value, kOwn) == 0) unsetenv(kVariable);
#else
  (void)argv;
#endif
}

char* end_of_environment() {
  char** last = environ;
  while (*last != nullptr && last[1] != nullptr) last++;
  return *last != nullptr ? *last + strlen(*last) + 1 : nullptr;
}

void warm_up(lua_State* L, const Options& options) {
  const int status = interpreter::run(L, options.argc, options.argv, interpreter::Purpose::kWarmUp);
  if (status != EXIT_SUCCESS) exit(status);
}

// Whoever may connect gets a copy of root's memory.
void warn_of_others(Listener& listener) {
  if (has_warm_descriptors()) {
    listener.stop();
    fail("the warm-up left descriptors open: not for other users");
  }
  log_line("other users can read what the warm-up left in memory");
}

lua_State* L = nullptr;  // never given back

// In a child, before it waits for anything.
void prepare_child(int channel, bool is_spare) {
  leave_server(channel);
  image::freshen(L);
  if (is_spare) image::rehearse(L);
}

// In a child: the client's process, from here to its end.
[[noreturn]] void run_launch(Accepted& accepted) {
  static LaunchRequest request;
  become(accepted, request);
  const interpreter::Outline outline = interpreter::outline(request.argv);
  if (outline.interactive) decline(accepted, false, "only lua itself is interactive");
#if defined(MOONLET_LUAJIT)
  if (outline.other_engine_options) decline(accepted, false, "-b, -j and -O are for a process of their own");
#endif
  if (const char* problem = image::thaw(L, outline.ignores_environment))
    decline(accepted, false, "prepare the interpreter: %s", problem);
  start(accepted, request);
  image::finish(L, interpreter::run(L, request.argc, request.argv, interpreter::Purpose::kLaunch));
}

}  // namespace

}  // namespace moonlet::zygote

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::zygote;
  bind_libraries(argv);
  prepare_farewell();
  char* const first_argument = argv[0];
  char* const environment_end = end_of_environment();
  open_standard_descriptors();  // so that none of the server's own is mistaken for one of them
  const Options options = read_options(argc, argv);
  UniqueFd inherited = inherited_listener();
  const WarmState before;
  L = image::new_state();
  if (L == nullptr) {
    fail("not enough memory");
  }
  if (options.incremental) image::use_incremental_collector();
  warm_up(L, options);
  image::seal(L);
  before.check();
  if (const char* module = image::relative_module())
    log_line("module '%s' came from a relative path: no warm modules in other directories", module);
  Listener listener(static_cast<UniqueFd&&>(inherited), options.socket, static_cast<mode_t>(options.mode));
  if (geteuid() == 0 && listener.is_for_others()) warn_of_others(listener);
  prepare_children(first_argument, environment_end, options.compare_clients);
  keep_page_tables();
  const int signals = open_signals();
  log_line("serving %s at %s", MOONLET_LUA_NAME, listener.name());
  announce_ready(options.ready_fd);
  open_standard_descriptors();  // should that have been one of them
  Accepted accepted;
  if (serve(listener.get(), signals, {options.max, options.spare, prepare_child}, accepted))
    run_launch(accepted);
  listener.stop();
  return EXIT_SUCCESS;  // without the warm-up's finalizers: one that waits must not keep a supervisor waiting
}
