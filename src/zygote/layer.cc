#include "zygote/layer.h"

#include "lua/arguments.h"
#include "lua/collector.h"
#include "lua/command_line.h"
#include "lua/host.h"
#include "lua/lua_api.h"
#include "lua/messages.h"
#include "lua/state.h"
#include "zygote/become.h"
#include "zygote/farewell.h"
#include "zygote/launches.h"
#include "zygote/listener.h"
#include "zygote/log.h"
#include "zygote/renewal.h"
#include "zygote/request.h"
#include "zygote/spares.h"
#include "zygote/watch.h"
#include "zygote/zygote.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace moonlet::zygote::layer {

namespace {

constexpr int kMostLayers = 16;        // one on another
constexpr unsigned kMostOnOne = 1000;  // side by side

// What a zygote and its children share. Whoever can write to it is of the zygote's user: forget().
struct Page {
  int is_outdated;
  unsigned layers;          // that were launched from it, so far
  pid_t layer[kMostOnOne];  // the last of them
};

Page* own = nullptr;       // of this zygote or, in a child, of the zygote that has forked it
Page* below[kMostLayers];  // of the images below a layer, from the lowest
int depth = 0;

// What moonletd was started with, and would serve with as long as its warm-up lasts.
const Options* options_of_moonletd = nullptr;
UniqueFd* inherited_by_moonletd = nullptr;
const WarmState* before_warm_up = nullptr;

const LaunchRequest* launched = nullptr;  // what this process has become
bool is_to_be_run = false;
bool is_offered = false;  // this image has the Lua module: whoever starts as a copy of it may call serve

bool is_warm() { return moonlet_host()->warm; }

int number_field(lua_State* L, const char* name, int least, int most, int otherwise) {
  lua_getfield(L, 1, name);
  int value = otherwise;
  if (!lua_isnil(L, -1)) {
    const lua_Number number = lua_tonumber(L, -1);
    if (lua_isnumber(L, -1) == 0 || number < least || number > most || number != static_cast<int>(number))
      luaL_error(L, "serve: '%s' must be a whole number from %d to %d", name, least, most);
    value = static_cast<int>(number);
  }
  lua_pop(L, 1);
  return value;
}

// "0660", as chmod(1) takes it: in Lua a number of that look would be decimal.
int mode_field(lua_State* L, int otherwise) {
  lua_getfield(L, 1, "mode");
  int value = otherwise;
  if (!lua_isnil(L, -1)) {
    const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    char* end = nullptr;
    const long number = strtol(text, &end, 8);
    if (*text == '\0' || *end != '\0' || number < 0 || number > 0777)
      luaL_error(L, "serve: 'mode' must be a string of octal digits from \"0\" to \"777\"");
    value = static_cast<int>(number);
  }
  lua_pop(L, 1);
  return value;
}

// The string stays in the table at index 1.
const char* socket_field(lua_State* L, const char* otherwise) {
  lua_getfield(L, 1, "socket");
  const bool is_named = !lua_isnil(L, -1);
  size_t length = 0;
  const char* path = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : nullptr;
  if (is_named && (path == nullptr || strlen(path) != length)) luaL_error(L, "serve: 'socket' must be a path");
  lua_pop(L, 1);
  return path != nullptr ? path : otherwise;
}

// Nothing is overlooked that is misspelt.
void check_names(lua_State* L) {
  constexpr const char* kNames[] = {"socket", "mode", "max", "spare", "idle_exit", "layers"};
  for (lua_pushnil(L); lua_next(L, 1) != 0; pop(L)) {
    bool known = false;
    for (const char* name : kNames)
      known = known || (lua_type(L, -2) == LUA_TSTRING && strcmp(name, lua_tostring(L, -2)) == 0);
    if (known) continue;
    lua_pushvalue(L, -2);  // lua_next wants its key as it is
    const char* text = lua_tostring(L, -1);
    luaL_error(L, "serve: no option '%s'", text != nullptr ? text : luaL_typename(L, -1));
  }
}

void become_layer(lua_State* L) {
  collector::unseal();
  warm::unseal(L);
  log_to(STDERR_FILENO);
  if (!keep_request()) fail("not enough memory");
  handover = {};
  below[depth++] = own;
  own->layer[__atomic_fetch_add(&own->layers, 1, __ATOMIC_RELAXED) % kMostOnOne] = getpid();
  keep_none_in_children();
  close_second_listener();
  WarmState(WarmState::kOnlyStandard).check();
  watch::resume();
}

// The manual's lua: what the command line was, with the script at index 0.
void push_arguments(lua_State* L, const LaunchRequest& launch) {
  arguments::push(L, launch.argc, launch.argv, interpreter::outline(launch.argv).script);
  lua_pushvalue(L, -1);
  arguments::set(L);
}

int serve(lua_State* L) {
  if (lua_pushthread(L) == 0) return luaL_error(L, "serve: not in a coroutine");
  if (is_warm() && own == nullptr)
    return luaL_error(L, "serve: not for a script of another user than moonletd's");
  if (depth == kMostLayers) return luaL_error(L, "serve: too many layers");
  if (is_warm() && watch::has_lost_track()) return luaL_error(L, "serve: too many files were read before");
  luaL_checkstack(L, LUA_MINSTACK, "serve");
  check_names(L);
  Options options;
  if (!is_warm()) options = *options_of_moonletd;
  options.socket = socket_field(L, options.socket);
  options.mode = mode_field(L, options.mode);
  options.max = number_field(L, "max", 0, INT_MAX, options.max);
  options.spare = number_field(L, "spare", 0, kMaxSpares, options.spare);
  options.idle_exit = number_field(L, "idle_exit", 0, INT_MAX / 1000, options.idle_exit);
  lua_getfield(L, 1, "layers");
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) luaL_error(L, "serve: 'layers' must be true or false");
  collector::expect_more(lua_toboolean(L, -1) != 0);
  lua_settop(L, 1);
  if (is_warm()) {
    become_layer(L);
    launched = serve_image(L, options, inherited_listener());
  } else {
    watch::end();
    before_warm_up->check();
    launched = serve_image(L, options, static_cast<UniqueFd&&>(*inherited_by_moonletd));
  }
  if (launched == nullptr) exit(EXIT_SUCCESS);
  interpreter::rename(launched->argv[0]);
  push_arguments(L, *launched);
  return 1;
}

// Below the script are frames of whoever called serve. They are left by an error, which nobody else is to
// catch.
int run(lua_State* L) {
  if (launched == nullptr) return luaL_error(L, "run: not in a child of serve");
  is_to_be_run = true;
  interpreter::leave(L);
  return 0;
}

void observe(const char* script) {
  is_offered = true;
  if (!is_warm() || own == nullptr || options_of_moonletd->trust) return;
  watch::observe();
  if (script != nullptr) watch::add(script);
}

}  // namespace

void offer(const Options& options, UniqueFd& inherited, const WarmState& before) {
  options_of_moonletd = &options;
  inherited_by_moonletd = &inherited;
  before_warm_up = &before;
  Host& host = *moonlet_host();
  host.serve = serve;
  host.run = run;
  host.observe = observe;
}

void announce() {
  void* const page = mmap(nullptr, sizeof *own, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) fail("mmap: %m");
  own = static_cast<Page*>(page);
}

void forget() {
  munmap(own, sizeof *own);
  own = nullptr;
  while (depth > 0) munmap(below[--depth], sizeof *own);
}

void begin_script() {
  if (is_offered) observe(nullptr);
}

bool is_layer() { return depth != 0; }

bool is_outdated() {
  for (int i = 0; i < depth; i++) {
    if (below[i]->is_outdated != 0) return true;
  }
  return false;
}

void outdate(const Launches& launches) {
  own->is_outdated = 1;
  for (const pid_t pid : own->layer) {
    if (pid > 0 && launches.find(pid) >= 0) kill(pid, SIGHUP);
  }
}

void part_from_client() {
  // Into the process group that the image below is in: it takes this process for none of its scripts, whose
  // client's end would be theirs. Where that is another session's, the client stays until the last launch has
  // ended.
  if (setpgid(0, getpgid(getppid())) == 0) say_farewell_now(EXIT_SUCCESS);
}

const LaunchRequest* take_launch() {
  const bool is_due = is_to_be_run;
  is_to_be_run = false;
  return is_due ? launched : nullptr;
}

}  // namespace moonlet::zygote::layer
