/* The Lua module `changes`: what a warm-up may do to its process, for the scripts to come. change(what) does
 * it, and show() tells what has been done. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* Each returns what a system call does: negative where it may not. */

static int change_umask(void) { return umask(027) == 027 ? -1 : 0; }
static int change_working_directory(void) { return chdir("/usr/share"); }
static int change_nice(void) { return setpriority(PRIO_PROCESS, 0, 7); }
static int change_limit(void) {
  const struct rlimit few = {77, 88};
  return setrlimit(RLIMIT_NOFILE, &few);
}
static int change_blocked_signal(void) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  return sigprocmask(SIG_BLOCK, &blocked, NULL);
}
static int change_pending_signal(void) {
  return change_blocked_signal() < 0 ? -1 : kill((pid_t)syscall(SYS_getpid), SIGUSR1);
}
static int change_ignored_signal(void) { return signal(SIGUSR2, SIG_IGN) == SIG_ERR ? -1 : 0; }
static void handle(int number) { (void)number; }
static int change_handler(void) { return signal(SIGHUP, handle) == SIG_ERR ? -1 : 0; }
static int change_alternate_stack(void) {
  static char memory[65536];
  const stack_t stack = {memory, 0, sizeof memory};
  return sigaltstack(&stack, NULL);
}
static int change_name(void) { return prctl(PR_SET_NAME, "renamed", 0, 0, 0); }
static int change_death_signal(void) { return prctl(PR_SET_PDEATHSIG, SIGUSR2, 0, 0, 0); }
static int change_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
static int change_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
static int change_timer_slack(void) { return prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0); }
static int change_secure_bits(void) { return prctl(PR_SET_SECUREBITS, 3, 0, 0, 0); }
static int change_kept_capabilities(void) { return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0); }
static int change_huge_pages(void) { return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); }
static int change_affinity(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  return sched_setaffinity(0, sizeof one, &one);
}
static int change_personality(void) { return (int)syscall(SYS_personality, 0x0040000); }
static int change_scheduling(void) {
  const struct sched_param none = {0};
  return sched_setscheduler(0, SCHED_BATCH, &none);
}
static int change_io_priority(void) { return (int)syscall(SYS_ioprio_set, 1, 0, 3 << 13); }
static int change_session(void) { return setsid(); }
static int change_process_group(void) { return setpgid(0, 0); }
static int write_to(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const int written = (int)write(fd, text, strlen(text));
  close(fd);
  return written;
}
static int change_oom_score(void) { return write_to("/proc/self/oom_score_adj", "321"); }
static int change_core_filter(void) { return write_to("/proc/self/coredump_filter", "0x7f"); }
static int change_variable(void) { return setenv("LEFT_BEHIND", "by the warm-up", 1); }
static int change_variables(void) { return clearenv(); }
static int change_time_zone(void) {
  if (setenv("TZ", "XYZ-5", 1) != 0) return -1;
  tzset();
  return 0;
}
static int change_rounding(void) { return fesetround(FE_UPWARD); }

static const struct {
  const char* name;
  int (*change)(void);
} changes[] = {
#define CHANGE(name) \
  { #name, change_##name }
    CHANGE(umask),
    CHANGE(working_directory),
    CHANGE(nice),
    CHANGE(limit),
    CHANGE(blocked_signal),
    CHANGE(pending_signal),
    CHANGE(ignored_signal),
    CHANGE(handler),
    CHANGE(alternate_stack),
    CHANGE(name),
    CHANGE(death_signal),
    CHANGE(subreaper),
    CHANGE(dumpable),
    CHANGE(timer_slack),
    CHANGE(secure_bits),
    CHANGE(kept_capabilities),
    CHANGE(huge_pages),
    CHANGE(affinity),
    CHANGE(personality),
    CHANGE(scheduling),
    CHANGE(io_priority),
    CHANGE(session),
    CHANGE(process_group),
    CHANGE(oom_score),
    CHANGE(core_filter),
    CHANGE(variable),
    CHANGE(variables),
    CHANGE(time_zone),
    CHANGE(rounding),
};

/* change(what): a status of 77, for this whole process, if nobody may do that here. */
static int change(lua_State* L) {
  const char* name = luaL_checkstring(L, 1);
  size_t i;
  for (i = 0; i < sizeof changes / sizeof *changes; i++) {
    if (strcmp(changes[i].name, name) != 0) continue;
    if (changes[i].change() < 0) _exit(77);
    return 0;
  }
  return luaL_error(L, "%s: nothing to change", name);
}

static void add(luaL_Buffer* shown, const char* name, long value) {
  char line[80];
  snprintf(line, sizeof line, "%s %ld\n", name, value);
  luaL_addstring(shown, line);
}

static void add_file(luaL_Buffer* shown, const char* path) {
  char text[80] = "";
  FILE* file = fopen(path, "re");
  if (fgets(text, sizeof text, file) != NULL) luaL_addstring(shown, text);
  fclose(file);
}

static void add_signals(luaL_Buffer* shown) {
  static const char* const lines[] = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn"};
  char line[256];
  size_t i;
  FILE* file = fopen("/proc/self/status", "re");
  while (fgets(line, sizeof line, file) != NULL) {
    for (i = 0; i < sizeof lines / sizeof *lines; i++) {
      if (strncmp(line, lines[i], strlen(lines[i])) == 0) luaL_addstring(shown, line);
    }
  }
  fclose(file);
}

static int show(lua_State* L) {
  const mode_t mask = umask(0);
  struct rlimit files;
  struct sigaction hangup;
  stack_t stack;
  cpu_set_t processors;
  char name[17] = "";
  int death = 0, reaper = 0;
  luaL_Buffer shown;
  umask(mask);
  getrlimit(RLIMIT_NOFILE, &files);
  sigaction(SIGHUP, NULL, &hangup);
  sigaltstack(NULL, &stack);
  sched_getaffinity(0, sizeof processors, &processors);
  prctl(PR_GET_NAME, name, 0, 0, 0);
  prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
  prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0);
  luaL_buffinit(L, &shown);
  add(&shown, "umask", mask);
  add(&shown, "nice", getpriority(PRIO_PROCESS, 0));
  add(&shown, "files", (long)files.rlim_cur);
  add_signals(&shown);
  add(&shown, "handles SIGHUP", hangup.sa_handler != SIG_DFL);
  add(&shown, "alternate stack", (long)stack.ss_size);
  add(&shown, "renamed", strcmp(name, "renamed") == 0);
  add(&shown, "death signal", death);
  add(&shown, "subreaper", reaper);
  add(&shown, "dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  add(&shown, "timer slack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
  add(&shown, "secure bits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
  add(&shown, "kept capabilities", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
  add(&shown, "no huge pages", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  add(&shown, "processors", CPU_COUNT(&processors));
  add(&shown, "personality", syscall(SYS_personality, 0xffffffff));
  add(&shown, "scheduling", sched_getscheduler(0));
  add(&shown, "I/O priority", syscall(SYS_ioprio_get, 1, 0));
  add(&shown, "leads its session", getsid(0) == getpid());
  add(&shown, "leads its group", getpgrp() == getpid());
  add_file(&shown, "/proc/self/oom_score_adj");
  add_file(&shown, "/proc/self/coredump_filter");
  add(&shown, "rounding", fegetround());
  return luaL_pushresult(&shown), 1;
}

static int enter(lua_State* L) { return lua_pushboolean(L, chdir(luaL_checkstring(L, 1)) == 0), 1; }

int luaopen_changes(lua_State* L) {
  lua_newtable(L);
  lua_pushcfunction(L, enter);
  lua_setfield(L, -2, "enter");
  lua_pushcfunction(L, change);
  lua_setfield(L, -2, "change");
  lua_pushcfunction(L, show);
  lua_setfield(L, -2, "show");
  return 1;
}
