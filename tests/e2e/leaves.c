/* The Lua module `leaves`: what a warm-up can leave in its process that no launch could have. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

/* Each returns what a system call does: negative, with errno, where it may not. */

static int leave_file(void) { return open("/etc/passwd", O_RDONLY | O_CLOEXEC); }
static int leave_directory(void) { return open("/etc", O_RDONLY | O_DIRECTORY); }
static int leave_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int leave_pipe(void) {
  int ends[2];
  return pipe(ends);
}
static int leave_epoll(void) { return epoll_create1(0); }
static int leave_eventfd(void) { return eventfd(0, 0); }
static int leave_inotify(void) { return inotify_init1(0); }
static int leave_timerfd(void) { return timerfd_create(CLOCK_MONOTONIC, 0); }
static int leave_memfd(void) { return (int)syscall(SYS_memfd_create, "kept", 0); }
static int leave_replaced_input(void) {
  close(0);
  return open("/etc/passwd", O_RDONLY);
}

static void* sleep_for_ever(void* unused) {
  for (;;) pause();
  return unused;
}
static int leave_thread(void) {
  pthread_t thread;
  errno = pthread_create(&thread, NULL, sleep_for_ever, NULL);
  return errno != 0 ? -1 : 0;
}

static int leave_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Whoever reads the output of the freeze waits for none of it. */
    int fd;
    for (fd = 0; fd < 3; fd++) close(fd);
    sleep_for_ever(NULL);
  }
  return child < 0 ? -1 : 0;
}
static int leave_zombie(void) {
  siginfo_t ended;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return child < 0 ? -1 : waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT);
}

static int map(int flags, int protection) {
  char* at = mmap(NULL, 8192, protection, flags, -1, 0);
  if (at == MAP_FAILED) return -1;
  if ((protection & PROT_WRITE) != 0) *at = 1;
  return 0;
}
static int leave_shared_memory(void) { return map(MAP_SHARED | MAP_ANONYMOUS, PROT_READ | PROT_WRITE); }
static int leave_shared_file(void) {
  char name[] = "/tmp/moonlet-leaves-XXXXXX";
  const int fd = mkostemp(name, O_CLOEXEC);
  char* at;
  if (fd < 0 || ftruncate(fd, 4096) != 0) return -1;
  unlink(name);
  at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) return -1;
  *at = 1;
  return 0;
}
static int leave_system_v_memory(void) {
  const int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  void* at = shmat(id, NULL, 0);
  shmctl(id, IPC_RMID, NULL);
  return at == (void*)-1 ? -1 : 0;
}
static int leave_locked_memory(void) {
  static char locked[8192];
  return mlock(locked, sizeof locked);
}
static int leave_locked_future(void) { return mlockall(MCL_FUTURE); }

static int leave_timer(int which) {
  const struct itimerval far = {{0, 0}, {100000, 0}};
  return setitimer((__itimer_which_t)which, &far, NULL);
}
static int leave_alarm(void) { return leave_timer(ITIMER_REAL); }
static int leave_virtual_timer(void) { return leave_timer(ITIMER_VIRTUAL); }
static int leave_profiling_timer(void) { return leave_timer(ITIMER_PROF); }
static int leave_posix_timer(void) {
  timer_t timer;
  struct sigevent none;
  memset(&none, 0, sizeof none);
  none.sigev_notify = SIGEV_NONE;
  return timer_create(CLOCK_MONOTONIC, &none, &timer);
}

static int leave_user(void) { return setuid(4242); }
static int leave_effective_user(void) { return seteuid(4242); }
static int leave_group(void) { return setgid(4242); }
static int leave_groups(void) {
  const gid_t groups[] = {7, 8, 9};
  return setgroups(3, groups);
}
static int leave_capability_bound(void) { return prctl(PR_CAPBSET_DROP, 12, 0, 0, 0); }
static int leave_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
static int leave_filter(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {1, &allow};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
static int leave_root(void) { return chroot("/usr"); }
static int leave_network(void) { return unshare(CLONE_NEWNET); }
static int leave_mounts(void) { return unshare(CLONE_NEWNS); }
static int leave_names(void) { return unshare(CLONE_NEWUTS); }
static int leave_ipc(void) { return unshare(CLONE_NEWIPC); }

static const struct {
  const char* name;
  int (*leave)(void);
} leavers[] = {
#define LEAVER(name) \
  { #name, leave_##name }
    LEAVER(file),
    LEAVER(directory),
    LEAVER(socket),
    LEAVER(pipe),
    LEAVER(epoll),
    LEAVER(eventfd),
    LEAVER(inotify),
    LEAVER(timerfd),
    LEAVER(memfd),
    LEAVER(replaced_input),
    LEAVER(thread),
    LEAVER(child),
    LEAVER(zombie),
    LEAVER(shared_memory),
    LEAVER(shared_file),
    LEAVER(system_v_memory),
    LEAVER(locked_memory),
    LEAVER(locked_future),
    LEAVER(alarm),
    LEAVER(virtual_timer),
    LEAVER(profiling_timer),
    LEAVER(posix_timer),
    LEAVER(user),
    LEAVER(effective_user),
    LEAVER(group),
    LEAVER(groups),
    LEAVER(capability_bound),
    LEAVER(no_new_privileges),
    LEAVER(filter),
    LEAVER(root),
    LEAVER(network),
    LEAVER(mounts),
    LEAVER(names),
    LEAVER(ipc),
};

/* leaves(what): a status of 77, for this whole process, if nobody may leave that here. */
static int leave(lua_State* L) {
  const char* name = luaL_checkstring(L, 1);
  size_t i;
  for (i = 0; i < sizeof leavers / sizeof *leavers; i++) {
    if (strcmp(leavers[i].name, name) != 0) continue;
    if (leavers[i].leave() < 0) _exit(77);
    return 0;
  }
  return luaL_error(L, "%s: nothing to leave", name);
}

int luaopen_leaves(lua_State* L) {
  lua_pushcfunction(L, leave);
  return 1;
}
