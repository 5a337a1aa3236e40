#include "module/handle.h"

#include "base/clock.h"
#include "base/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace moonlet::module_of_lua {

namespace {

using protocol::Report;
using protocol::ReportKind;
using Source = Handle::Source;
using End = Handle::End;

constexpr char kType[] = "moonlet script";  // of its metatable in the registry

// How often a child is looked at whose end nothing tells of: before Linux 5.3.
constexpr int kGlanceMilliseconds = 10;

struct SignalName {
  char name[8];
  int number;
};
constexpr SignalName kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"BUS", SIGBUS},     {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU}, {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"SYS", SIGSYS},
};

void close_descriptor(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

void end_with(Handle& handle, End end, int code) {
  handle.end = end;
  handle.code = code;
  close_connection(handle);
}

Handle& check_handle(lua_State* L) {
  auto& handle = *static_cast<Handle*>(luaL_checkudata(L, 1, kType));
  // Its descriptors are not what they were in a copy that moonletd made, nor is a lua its child.
  if (handle.owner != getpid()) luaL_argerror(L, 1, "a script that another process has started");
  return handle;
}

// What the server says. It says no more of this script than its end: stops are the script's own affair.
void take_report(Handle& handle) {
  Report report = {};
  if (protocol::receive(handle.script, report)) {
    if (!protocol::can_be(report)) return;
    if (report.kind == ReportKind::kRuns) handle.runs = report.value != 0 ? 1 : 0;
    if (report.kind == ReportKind::kExited) end_with(handle, End::kExited, report.value & 0xff);
    if (report.kind == ReportKind::kKilled) end_with(handle, End::kKilled, report.value);
    return;
  }
  // The server is gone. Whoever polls the connection goes on with what tells that the script has ended, under
  // the same number.
  if (handle.script.pidfd < 0 || dup3(handle.script.pidfd, handle.script.connection, O_CLOEXEC) < 0)
    return end_with(handle, End::kUnknown, 0);
  handle.source = Source::kOrphan;
}

// Without WNOHANG it waits, also where a signal comes.
void reap(Handle& handle, int flags) {
  int status = 0;
  pid_t reaped = -1;
  do {
    reaped = waitpid(handle.script.pid, &status, flags);
  } while (reaped < 0 && errno == EINTR);
  if (reaped < 0)
    return end_with(handle, End::kUnknown, 0);  // SIGCHLD is ignored, or others have waited for it
  if (reaped == 0) return;
  if (WIFSIGNALED(status)) return end_with(handle, End::kKilled, WTERMSIG(status));
  end_with(handle, End::kExited, WEXITSTATUS(status));
}

void take_news(Handle& handle) {
  switch (handle.source) {
    case Source::kServer:
      return take_report(handle);
    case Source::kOrphan:
      return end_with(handle, End::kUnknown, 0);
    case Source::kChild:
      return reap(handle, WNOHANG);
  }
}

int fail(lua_State* L, int error) {
  lua_pushnil(L);
  lua_pushstring(L, strerror(error));
  lua_pushinteger(L, error);
  return 3;
}

int fail(lua_State* L, const char* reason) {
  lua_pushnil(L);
  lua_pushstring(L, reason);
  return 2;
}

int push_end(lua_State* L, const Handle& handle) {
  if (handle.end == End::kClosed) return fail(L, "the handle is closed");
  if (handle.end == End::kUnknown) {
    return fail(L, handle.source == Source::kChild ? "the script was reaped by somebody else"
                                                   : "moonletd is gone, and so is how the script ended");
  }
  const bool exited = handle.end == End::kExited;
  if (exited && handle.code == 0) {
    lua_pushboolean(L, 1);
  } else {
    lua_pushnil(L);
  }
  lua_pushstring(L, exited ? "exit" : "signal");
  lua_pushinteger(L, handle.code);
  return 3;
}

// handle:wait([seconds])
int wait(lua_State* L) {
  Handle& handle = check_handle(L);
  constexpr lua_Number kLongest = 1 << 20;  // seconds
  const bool has_limit = !lua_isnoneornil(L, 2);
  lua_Number seconds = luaL_optnumber(L, 2, 0);
  if (!(seconds > 0)) seconds = 0;  // what is left until a time that has passed, or no number at all
  if (seconds > kLongest) seconds = kLongest;
  const int64_t until = has_limit ? milliseconds_now() + static_cast<int64_t>(seconds * 1000) : 0;
  while (handle.end == End::kNone) {
    int64_t left = has_limit ? until - milliseconds_now() : -1;
    const bool is_over = has_limit && left <= 0;
    if (is_over) left = 0;
    const bool glances = handle.script.connection < 0;
    if (glances && (left < 0 || left > kGlanceMilliseconds)) left = kGlanceMilliseconds;
    if (await(L, handle.script.connection, static_cast<int>(left)) || glances) {
      take_news(handle);
    } else if (is_over) {
      return fail(L, "running");
    }
    if (glances && is_over && handle.end == End::kNone) return fail(L, "running");
  }
  return push_end(L, handle);
}

// The signal that argument 2 names.
int check_signal(lua_State* L) {
  if (lua_isnoneornil(L, 2)) return SIGTERM;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    const auto number = luaL_checkinteger(L, 2);
    if (number < 0 || number > kernel::kLastSignal) luaL_argerror(L, 2, "no number of a signal");
    return static_cast<int>(number);
  }
  const char* name = luaL_checkstring(L, 2);
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (const SignalName& it : kSignals) {
    if (strcmp(it.name, name) == 0) return it.number;
  }
  return luaL_argerror(L, 2, lua_pushfstring(L, "no signal '%s'", lua_tostring(L, 2)));
}

// handle:kill([signal])
int kill_script(lua_State* L) {
  const Handle& handle = check_handle(L);
  const int signal = check_signal(L);
  if (handle.end != End::kNone) return fail(L, ESRCH);
  if (protocol::signal_script(handle.script, signal, false) == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  return fail(L, errno == EBADF ? ESRCH : errno);  // EBADF: no pidfd, and its number is free
}

// handle:fd()
int descriptor(lua_State* L) {
  const Handle& handle = check_handle(L);
  if (handle.end != End::kNone) return fail(L, "the script has ended");
  if (handle.script.connection < 0) return fail(L, "this kernel has no pidfd");
  lua_pushinteger(L, handle.script.connection);
  return 1;
}

// handle:close(), and the end of a variable that is to be closed
int close_script(lua_State* L) {
  close_handle(check_handle(L));
  lua_pushboolean(L, 1);
  return 1;
}

int collect(lua_State* L) {
  close_handle(*static_cast<Handle*>(luaL_checkudata(L, 1, kType)));
  return 0;
}

int describe(lua_State* L) {
  const auto& handle = *static_cast<const Handle*>(luaL_checkudata(L, 1, kType));
  lua_pushfstring(L, "%s (%d)", kType, static_cast<int>(handle.script.pid));
  return 1;
}

void push_fields(lua_State* L, int index) {
#if LUA_VERSION_NUM >= 504
  lua_getiuservalue(L, index, 1);
#elif LUA_VERSION_NUM >= 502
  lua_getuservalue(L, index);
#else
  lua_getfenv(L, index);
#endif
}

// handle.warm: waits until the script's process has become what it runs as, or has ended before.
int push_warm(lua_State* L) {
  Handle& handle = check_handle(L);
#if defined(MOONLET_TELLS_HOW)
  while (handle.runs < 0 && handle.source == Source::kServer && handle.end == End::kNone) {
    if (await(L, handle.script.connection, -1)) take_news(handle);
  }
#endif
  if (handle.runs >= 0) {
    lua_pushboolean(L, handle.runs);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

// Methods, then fields.
int index(lua_State* L) {
  luaL_checkudata(L, 1, kType);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "warm") == 0) return push_warm(L);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  push_fields(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

void push_metatable(lua_State* L) {
  if (luaL_newmetatable(L, kType) == 0) return;
  constexpr struct {
    const char* name;
    lua_CFunction function;
  } kMethods[] = {{"wait", wait}, {"kill", kill_script}, {"fd", descriptor}, {"close", close_script}};
  lua_newtable(L);
  for (const auto& it : kMethods) {
    lua_pushcfunction(L, it.function);
    lua_setfield(L, -2, it.name);
  }
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, close_script);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, describe);
  lua_setfield(L, -2, "__tostring");
}

int nothing(lua_State*) { return 0; }

}  // namespace

Handle* push_handle(lua_State* L) {
  auto* handle = static_cast<Handle*>(lua_newuserdata(L, sizeof(Handle)));
  *handle = {{-1}, getpid(), Source::kServer, End::kNone, -1, 0, {-1, -1, -1, -1}, {}, {-1, -1, -1}};
  push_metatable(L);
  lua_setmetatable(L, -2);
  lua_newtable(L);
#if LUA_VERSION_NUM >= 504
  lua_setiuservalue(L, -2, 1);
#elif LUA_VERSION_NUM >= 502
  lua_setuservalue(L, -2);
#else
  lua_setfenv(L, -2);
#endif
  return handle;
}

void set_field(lua_State* L, int index, const char* name) {
  push_fields(L, index);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  pop(L);
}

void close_passed(Handle& handle) {
  for (int i = 0; i <= Handle::kDirectory; i++) {
    if (handle.owned[i]) close(handle.passed[i]);
    handle.owned[i] = false;
  }
}

void close_connection(Handle& handle) {
  close_descriptor(handle.script.connection);
  close_descriptor(handle.script.pidfd);
}

void close_handle(Handle& handle) {
  if (handle.owner != getpid()) return;  // a fork: these numbers may be other descriptors now
  close_passed(handle);
  for (int& descriptor : handle.own_end) close_descriptor(descriptor);
  if (handle.end != End::kNone) return;
  if (handle.script.pid > 0 && handle.source != Source::kServer) {
    protocol::signal_script(handle.script, SIGKILL, false);
    if (handle.source == Source::kChild) reap(handle, 0);
  }
  // A server's script dies with its connection.
  end_with(handle, End::kClosed, 0);
}

bool await(lua_State* L, int descriptor, int milliseconds) {
  pollfd polled = {descriptor, POLLIN, 0};
  const int events = poll(&polled, 1, milliseconds);
  if (events < 0) {
    // A handler of signals has asked for a hook (lua's own does for SIGINT): the next call is where it runs.
    lua_pushcfunction(L, nothing);
    lua_call(L, 0, 0);
  }
  return events > 0;
}

}  // namespace moonlet::module_of_lua
