// moonletd: lua that stops at the end of its script and hands out copies of itself.

#include "lua/collector.h"
#include "lua/finish.h"
#include "lua/host.h"
#include "lua/interpreter.h"
#include "lua/lua_api.h"
#include "lua/state.h"
#include "zygote/descriptors.h"
#include "zygote/farewell.h"
#include "zygote/freezer.h"
#include "zygote/layer.h"
#include "zygote/listener.h"
#include "zygote/log.h"
#include "zygote/options.h"
#include "zygote/process_title.h"
#include "zygote/renewal.h"
#include "zygote/warm_state.h"
#include "zygote/watch.h"
#include "zygote/zygote.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

namespace moonlet::zygote {

namespace {

// What a library calls shall be found once, here, and not in each child: glibc's loader leaves that to the
// first call of each function, unless LD_BIND_NOW tells it otherwise from its start. (musl's finds all at
// once.)
// Remembers the start with that variable, for renewals.
void begin(char** argv) {
#if defined(__GLIBC__)
  constexpr char kVariable[] = "LD_BIND_NOW";
  constexpr char kOwn[] = "moonletd";
  const char* value = getenv(kVariable);
  // Without a loader of its own, this is one that was told to run moonletd: what it would start anew is itself.
  if (value == nullptr && getauxval(AT_BASE) != 0) {
    setenv(kVariable, kOwn, 1);
    execv(reinterpret_cast<const char*>(getauxval(AT_EXECFN)), argv);
  }
  open_standard_descriptors();
  remember_start(argv);
  // Here too if that failed. One that was set by whoever started this program stays.
  if (value == nullptr || strcmp(value, kOwn) == 0) unsetenv(kVariable);
#else
  open_standard_descriptors();
  remember_start(argv);
#endif
}

char* end_of_environment() {
  char** last = environ;
  while (*last != nullptr && last[1] != nullptr) last++;
  return *last != nullptr ? *last + strlen(*last) + 1 : nullptr;
}

// In a child, at the end of its script.
[[noreturn]] void finish(lua_State* L, int status) {
  while (const LaunchRequest* next = layer::take_launch())
    status = interpreter::run(L, next->argc, next->argv, interpreter::Purpose::kLaunch);
  warm::finish(L, status);
}

void warm_up(lua_State* L, const Options& options) {
  // One that fails now must not take away what people have: of a new image what has loaded is served, until
  // another change mends it.
  const auto purpose = is_renewed() ? interpreter::Purpose::kRenewal : interpreter::Purpose::kWarmUp;
  const int status = interpreter::run(L, options.argc, options.argv, purpose);
  if (moonlet_host()->warm) finish(L, status);  // it has served already, and this is a child
  watch::end();
  if (status != EXIT_SUCCESS && !is_renewed()) exit(status);
}

}  // namespace

}  // namespace moonlet::zygote

int main(int argc, char** argv) {
  using namespace moonlet;
  using namespace moonlet::zygote;
  begin(argv);
  prepare_farewell();
  set_title_area(argv[0], end_of_environment());
  const Options options = read_options(argc, argv);
  UniqueFd inherited = inherited_listener();
  if (!options.trust) watch::begin();
  const WarmState before;
  lua_State* const L = warm::new_state();  // never given back
  if (L == nullptr) fail("not enough memory");
  if (MOONLET_HAS_GENERATIONS && options.incremental) collector::use_incremental();
  prepare_freezer(options);
  layer::offer(options, inherited, before);
  warm_up(L, options);
  before.check();
  const LaunchRequest* const launch = serve_image(L, options, static_cast<UniqueFd&&>(inherited));
  // Without the warm-up's finalizers: one that waits must not keep a supervisor waiting.
  if (launch == nullptr) return EXIT_SUCCESS;
  finish(L, interpreter::run(L, launch->argc, launch->argv, interpreter::Purpose::kLaunch));
}
