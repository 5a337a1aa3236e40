/* Children: fork and its kin, and commands. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char** environ;

static pid_t parent;
static volatile sig_atomic_t raised;

static void note(int number) { raised = number; }
static void* nothing(void* argument) { return argument; }

static void say_who(void) {
  pthread_t thread;
  void* result = NULL;
  say("a thread of its own: %d", syscall(SYS_gettid) == getpid());
  say("child of its parent: %d", getppid() == parent);
  signal(SIGUSR1, note);
  raised = 0;
  say("raise: %d", raise(SIGUSR1));
  say("handled: %d", raised == SIGUSR1);
  MUST(pthread_create(&thread, NULL, nothing, &parent) == 0);
  MUST(pthread_join(thread, &result) == 0);
  say("its thread: %d", result == &parent);
}

static void say_of_grandchild(void) {
  say_who();
  parent = getpid();
  say_of_child(say_who);
}

static void forks(char** unused) {
  (void)unused;
  parent = getpid();
  say_of_child(say_of_grandchild);
}

static void* fork_in_thread(void* argument) {
  say_of_child(say_who);
  return argument;
}

static void fork_of_a_thread(char** unused) {
  (void)unused;
  pthread_t thread;
  parent = getpid();
  MUST(pthread_create(&thread, NULL, fork_in_thread, NULL) == 0);
  MUST(pthread_join(thread, NULL) == 0);
}

static int is_registered;
static void before(void) { say("prepare"); }
static void in_parent(void) { say("parent"); }
static void in_child(void) { say("child"); }
static void do_nothing(void) {}

/* Registered once, in the warm-up or here: each fork of this process calls them once. */
static void fork_handlers(char** unused) {
  (void)unused;
  if (!is_registered++) MUST(pthread_atfork(before, in_parent, in_child) == 0);
  say("now:");
  say_of_child(do_nothing);
}

static void vforks(char** unused) {
  (void)unused;
  pid_t pid = vfork();
  MUST(pid >= 0);
  if (pid == 0) _exit(3);
  say_end("the first", wait_for(pid));
  pid = vfork();
  MUST(pid >= 0);
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", "exit 4", (char*)NULL);
    _exit(127);
  }
  say_end("the second", wait_for(pid));
}

static void spawn(char** unused) {
  (void)unused;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  char* argv[] = {"sh", "-c", "echo \"in $0 $1 $V\"; ps -o pgid= -p $$ | tr -d ' '; echo $$; exit 6",
                  "x",  "y",  NULL};
  char* envp[] = {"V=value", "PATH=/usr/bin:/bin", NULL};
  char answer[200] = "";
  int out[2], size = 0;
  ssize_t got;
  pid_t pid = 0;
  sigset_t none;
  MUST(pipe(out) == 0);
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  posix_spawn_file_actions_addclose(&actions, out[1]);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  say_error("spawn", posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv, envp));
  close(out[1]);
  while (size < 199 && (got = read(out[0], answer + size, (size_t)(199 - size))) > 0) size += (int)got;
  close(out[0]);
  char first[100] = "";
  int group = 0, itself = 0;
  sscanf(answer, "%99[^\n] %d %d", first, &group, &itself);
  say("%s, leads its group: %d, is what was spawned: %d", first, group == itself, itself == pid);
  say_end("it", wait_for(pid));
  char *wrong[] = {"nonexistent-command", NULL}, *search[] = {"sh", "-c", "exit 8", NULL};
  say_error("by name", posix_spawnp(&pid, "sh", NULL, NULL, search, environ));
  say_end("it", wait_for(pid));
  say_error("not there", posix_spawnp(&pid, wrong[0], NULL, NULL, wrong, environ));
}

static void commands(char** unused) {
  (void)unused;
  say("a shell: %d", system(NULL) != 0);
  say_end("system", system("exit 3"));
  say_end("system", system("kill -9 $$"));
  say_end("system", system("nonexistent-command 2>/dev/null"));
}

static void pipes(char** unused) {
  (void)unused;
  char line[100] = "";
  FILE* from = popen("echo out; exit 5", "r");
  MUST(from != NULL && fgets(line, sizeof line, from) != NULL);
  say("read %s", line);
  say_end("it", pclose(from));
  FILE* to = popen("read line; [ \"$line\" = in ]", "w");
  MUST(to != NULL);
  fputs("in\n", to);
  say_end("the other", pclose(to));
}

static int in_clone(void* flag) {
  *(int*)flag = 1; /* in the same memory */
  return 9;
}

static void clones(char** unused) {
  (void)unused;
  static char stack[65536] __attribute__((aligned(16)));
  int flag = 0;
  pid_t pid = clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &flag);
  MUST(pid > 0);
  say_end("it", wait_for(pid));
  say("flag: %d", flag);
}

static void execute(void) {
  execlp("sh", "sh", "-c", "exit 7", (char*)NULL);
  say("exec: %s", strerror(errno));
}

static void children(char** unused) {
  (void)unused;
  struct rusage usage;
  siginfo_t info;
  say_of_child(execute);
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) _exit(1);
  memset(&info, 0, sizeof info);
  say("waitid: %d", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
  say("its pid: %d, code %d, status %d", info.si_pid == pid, info.si_code, info.si_status);
  int status = 0;
  say("wait4: %d", wait4(pid, &status, 0, &usage) == pid);
  say_end("it", status);
  say("no other: %s", wait(&status) < 0 ? strerror(errno) : "there is one");
}

const struct check process_checks[] = {{"forks", forks},
                                       {"fork_of_a_thread", fork_of_a_thread},
                                       {"fork_handlers", fork_handlers},
                                       {"vforks", vforks},
                                       {"spawn", spawn},
                                       {"commands", commands},
                                       {"pipes", pipes},
                                       {"clones", clones},
                                       {"children", children},
                                       {NULL, NULL}};
