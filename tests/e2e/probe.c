/* A Lua module for the end-to-end tests: what a script can see and do only through C. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

extern char **environ;

/* Preloaded, with $PROBE_AT_LISTEN "TOLD GO": says on descriptor TOLD that it is there, and goes on when GO ends. */
int listen(int fd, int backlog) {
  const char *at = getenv("PROBE_AT_LISTEN");
  int told, go;
  char byte = '\n';
  if (at != NULL && sscanf(at, "%d %d", &told, &go) == 2 && write(told, &byte, 1) == 1)
    while (read(go, &byte, 1) < 0 && errno == EINTR) {
    }
  return (int)syscall(SYS_listen, fd, backlog);
}

static int probe_pid(lua_State *L) { return lua_pushinteger(L, getpid()), 1; }
static int probe_fork(lua_State *L) { return lua_pushinteger(L, fork()), 1; }
static int probe_umask(lua_State *L) {
  mode_t mask = umask(0);
  umask(mask);
  return lua_pushinteger(L, mask), 1;
}
static int probe_nice(lua_State *L) { return lua_pushinteger(L, getpriority(PRIO_PROCESS, 0)), 1; }
static int probe_leader(lua_State *L) { return lua_pushboolean(L, getpgrp() == getpid()), 1; }

static int probe_wait(lua_State *L) {
  int status = 0;
  waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0);
  return lua_pushinteger(L, status), 1;
}

static int probe_kill(lua_State *L) {
  return lua_pushinteger(L, kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2))), 1;
}

/* poll(fd): waits until it can be read. */
static int probe_poll(lua_State *L) {
  struct pollfd fd = {(int)luaL_checkinteger(L, 1), POLLIN, 0};
  return lua_pushinteger(L, poll(&fd, 1, 60000)), 1;
}

static int probe_exit(lua_State *L) { exit((int)luaL_checkinteger(L, 1)); }
static int probe_quick_exit(lua_State *L) { _exit((int)luaL_checkinteger(L, 1)); }

static int probe_exec(lua_State *L) {
  char *argv[16] = {0};
  int i;
  for (i = 1; i <= lua_gettop(L) && i < 16; i++) argv[i - 1] = (char *)luaL_checkstring(L, i);
  execv(argv[0], argv);
  return luaL_error(L, "exec: %s", strerror(errno));
}

static int probe_getenv(lua_State *L) { return lua_pushstring(L, getenv(luaL_checkstring(L, 1))), 1; }

static int probe_setenv(lua_State *L) {
  return lua_pushinteger(L, setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1)), 1;
}

/* Every string of the environment, in order, with a newline behind each. */
static int probe_environ(lua_State *L) {
  luaL_Buffer b;
  char **e;
  luaL_buffinit(L, &b);
  for (e = environ; *e; e++) {
    luaL_addstring(&b, *e);
    luaL_addstring(&b, "\n");
  }
  return luaL_pushresult(&b), 1;
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* "fd[c] target" of every open descriptor; c: close-on-exec. */
static int probe_fds(lua_State *L) {
  int list[8192], n = 0, i;
  luaL_Buffer b;
  DIR *d = opendir("/proc/self/fd");
  struct dirent *e;
  while (n < 8192 && (e = readdir(d)))
    if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d)) list[n++] = atoi(e->d_name);
  closedir(d);
  qsort(list, n, sizeof *list, by_number);
  luaL_buffinit(L, &b);
  for (i = 0; i < n; i++) {
    char link[64], target[4096], line[4200];
    ssize_t size;
    snprintf(link, sizeof link, "/proc/self/fd/%d", list[i]);
    size = readlink(link, target, sizeof target - 1);
    target[size > 0 ? size : 0] = 0;
    snprintf(line, sizeof line, "%d%s %s\n", list[i], fcntl(list[i], F_GETFD) ? "c" : "", target);
    luaL_addstring(&b, line);
  }
  return luaL_pushresult(&b), 1;
}

/* The signal masks and the pending set, as the kernel shows them. */
static int probe_signals(lua_State *L) {
  char line[256];
  FILE *f = fopen("/proc/self/status", "r");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "Sig", 3) || !strncmp(line, "ShdPnd", 6))
      if (strncmp(line, "SigQ", 4)) luaL_addstring(&b, line);
  fclose(f);
  return luaL_pushresult(&b), 1;
}

static int probe_limits(lua_State *L) {
  char line[64];
  int i;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (i = 0; i < 16; i++) {
    unsigned long long pair[2] = {0, 0};
    syscall(SYS_prlimit64, 0, i, NULL, pair);
    snprintf(line, sizeof line, "%d %llx %llx\n", i, pair[0], pair[1]);
    luaL_addstring(&b, line);
  }
  return luaL_pushresult(&b), 1;
}

static int self_pipe[2] = {-1, -1};
static void on_signal(int signal) {
  unsigned char byte = (unsigned char)signal;
  (void)!write(self_pipe[1], &byte, 1);
}

/* catch(signal...): from now on next_signal() returns them. */
static int probe_catch(lua_State *L) {
  int i;
  if (self_pipe[0] < 0 && pipe2(self_pipe, O_CLOEXEC)) return luaL_error(L, "pipe2");
  for (i = 1; i <= lua_gettop(L); i++) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction((int)luaL_checkinteger(L, i), &action, NULL);
  }
  return 0;
}

static int probe_next_signal(lua_State *L) {
  unsigned char byte = 0;
  if (read(self_pipe[0], &byte, 1) != 1) return luaL_error(L, "read");
  return lua_pushinteger(L, byte), 1;
}

static int probe_default(lua_State *L) {
  signal((int)luaL_checkinteger(L, 1), SIG_DFL);
  return 0;
}

static int probe_pause(lua_State *L) {
  (void)L;
  pause();
  return 0;
}

static void *sleeper(void *unused) {
  (void)unused;
  for (;;) pause();
}

static int probe_thread(lua_State *L) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, sleeper, NULL)) return luaL_error(L, "pthread_create");
  return lua_pushinteger(L, pthread_setname_np(thread, "probe-sleeper")), 1;
}

static int probe_open(lua_State *L) {
  return lua_pushinteger(L, open(luaL_checkstring(L, 1), O_RDWR | O_CREAT, 0600)), 1;
}

/* How wide the terminal is; nil if it is none. */
static int probe_columns(lua_State *L) {
  struct winsize size;
  if (isatty((int)luaL_checkinteger(L, 1)) == 0 || ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) != 0)
    return lua_pushnil(L), 1;
  return lua_pushinteger(L, size.ws_col), 1;
}

static int probe_dup(lua_State *L) { return lua_pushinteger(L, dup((int)luaL_checkinteger(L, 1))), 1; }
static int probe_close(lua_State *L) {
  return lua_pushinteger(L, close((int)luaL_checkinteger(L, 1))), 1;
}

static int probe_write(lua_State *L) {
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  return lua_pushinteger(L, (lua_Integer)write((int)luaL_checkinteger(L, 1), data, size)), 1;
}

static int probe_read(lua_State *L) {
  char data[4096];
  ssize_t size = read((int)luaL_checkinteger(L, 1), data, sizeof data);
  if (size < 0) return lua_pushnil(L), lua_pushstring(L, strerror(errno)), 2;
  return lua_pushlstring(L, data, (size_t)size), 1;
}

static int probe_comm(lua_State *L) {
  char comm[17] = "";
  prctl(PR_GET_NAME, comm);
  return lua_pushstring(L, comm), 1;
}

static void say_bye(void) { (void)!write(1, "atexit\n", 7); }
static int probe_atexit(lua_State *L) { return lua_pushinteger(L, atexit(say_bye)), 1; }

static int probe_crash(lua_State *L) {
  (void)L;
  raise(SIGSEGV);
  return 0;
}

static int probe_credentials(lua_State *L) {
  char line[512];
  FILE *f = fopen("/proc/self/status", "r");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (fgets(line, sizeof line, f))
    if (!strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6) ||
        !strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10) || !strncmp(line, "Umask", 5))
      luaL_addstring(&b, line);
  fclose(f);
  snprintf(line, sizeof line, "securebits %d, dumpable %d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  luaL_addstring(&b, line);
  return luaL_pushresult(&b), 1;
}

static const luaL_Reg functions[] = {{"pid", probe_pid},
                                     {"fork", probe_fork},
                                     {"umask", probe_umask},
                                     {"nice", probe_nice},
                                     {"leader", probe_leader},
                                     {"wait", probe_wait},
                                     {"kill", probe_kill},
                                     {"poll", probe_poll},
                                     {"exit", probe_exit},
                                     {"quick_exit", probe_quick_exit},
                                     {"exec", probe_exec},
                                     {"getenv", probe_getenv},
                                     {"setenv", probe_setenv},
                                     {"environ", probe_environ},
                                     {"fds", probe_fds},
                                     {"signals", probe_signals},
                                     {"limits", probe_limits},
                                     {"catch", probe_catch},
                                     {"default", probe_default},
                                     {"next_signal", probe_next_signal},
                                     {"pause", probe_pause},
                                     {"thread", probe_thread},
                                     {"open", probe_open},
                                     {"close", probe_close},
                                     {"dup", probe_dup},
                                     {"columns", probe_columns},
                                     {"write", probe_write},
                                     {"read", probe_read},
                                     {"comm", probe_comm},
                                     {"atexit", probe_atexit},
                                     {"crash", probe_crash},
                                     {"credentials", probe_credentials},
                                     {NULL, NULL}};

int luaopen_probe(lua_State *L) {
  const luaL_Reg *f;
  lua_newtable(L);
  for (f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
