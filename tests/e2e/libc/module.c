/* The Lua module libc_probe: one function for each check. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "check.h"

static char text[1 << 16];
static size_t length;

void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text + length, sizeof text - length, format, arguments);
  va_end(arguments);
  if (size < 0 || length + (size_t)size + 2 > sizeof text) give_up("say");
  length += (size_t)size;
  text[length++] = '\n';
}

void say_error(const char* step, int error) { say("%s: %s", step, strerror(error)); }

void give_up(const char* what) {
  fprintf(stderr, "libc_probe: %s: %s\n", what, strerror(errno));
  _exit(99);
}

int wait_for(int pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) give_up("waitpid");
  return status;
}

void say_end(const char* who, int status) {
  if (WIFSIGNALED(status))
    say("%s is killed by signal %d", who, WTERMSIG(status));
  else
    say("%s exits with %d", who, WEXITSTATUS(status));
}

void say_of_child(void (*act)(void)) {
  int answer[2];
  size_t start = length; /* what fork's own handlers say is the child's too */
  MUST(pipe(answer) == 0);
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) {
    act();
    MUST(write(answer[1], text + start, length - start) == (ssize_t)(length - start));
    _exit(0);
  }
  close(answer[1]);
  ssize_t size;
  while ((size = read(answer[0], text + length, sizeof text - length)) > 0 || (size < 0 && errno == EINTR))
    if (size > 0) length += (size_t)size;
  close(answer[0]);
  say_end("the child", wait_for(pid));
}

static int run_check(lua_State* L) {
  const struct check* check = lua_touserdata(L, lua_upvalueindex(1));
  char* arguments[8] = {0};
  for (int i = 0; i < lua_gettop(L) && i < 7; i++) arguments[i] = (char*)luaL_checkstring(L, i + 1);
  length = 0;
  check->run(arguments);
  lua_pushlstring(L, text, length);
  return 1;
}

int luaopen_libc_probe(lua_State* L) {
  const struct check* const all[] = {thread_checks, lock_checks,   process_checks, loading_checks,
                                     memory_checks, stack_checks,  signal_checks,  timer_checks,
                                     exit_checks,   stream_checks, lookup_checks,  fact_checks};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    for (const struct check* check = all[i]; check->name != NULL; check++) {
      lua_pushlightuserdata(L, (void*)check);
      lua_pushcclosure(L, run_check, 1);
      lua_setfield(L, -2, check->name);
    }
  return 1;
}
