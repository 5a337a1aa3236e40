/* Timers and clocks. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#ifndef SYS_clock_gettime /* musl on machines of 32 bits: that one has the kernel's old struct timespec */
#define SYS_clock_gettime SYS_clock_gettime64
#endif

static const struct itimerspec soon = {.it_value = {0, 1000000}};

static void by_signal(char** unused) {
  (void)unused;
  timer_t timer;
  sigset_t set;
  siginfo_t info;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGRTMIN;
  event.sigev_value.sival_int = 42;
  sigemptyset(&set), sigaddset(&set, SIGRTMIN);
  MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  MUST(timer_settime(timer, 0, &soon, NULL) == 0);
  MUST(sigwaitinfo(&set, &info) == SIGRTMIN);
  say("value %d, overrun %d", info.si_value.sival_int, timer_getoverrun(timer));
  MUST(timer_delete(timer) == 0);
  MUST(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
#ifdef SIGEV_THREAD_ID
  event.sigev_notify = SIGEV_THREAD_ID;
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
  event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
  say("to this thread: %d", timer_create(CLOCK_MONOTONIC, &event, &timer));
  timer_delete(timer);
#endif
}

static sem_t called;
static int value;

static void call(union sigval given) {
  value = given.sival_int;
  sem_post(&called);
}

/* A thread of libc's own waits for it. */
static void by_thread(char** unused) {
  (void)unused;
  struct sigevent event;
  timer_t timer;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_notify_function = call;
  event.sigev_value.sival_int = 43;
  sem_init(&called, 0, 0);
  MUST(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
  MUST(timer_settime(timer, 0, &soon, NULL) == 0);
  while (sem_wait(&called) < 0) MUST(errno == EINTR);
  say("value %d", value);
  MUST(timer_delete(timer) == 0);
}

static volatile sig_atomic_t alarms;
static void count_alarm(int number) {
  (void)number;
  alarms++;
}

static void intervals(char** unused) {
  (void)unused;
  const struct {
    int which, signal;
  } kinds[] = {{ITIMER_REAL, SIGALRM}, {ITIMER_VIRTUAL, SIGVTALRM}, {ITIMER_PROF, SIGPROF}};
  for (int i = 0; i < 3; i++) {
    struct itimerval once = {.it_value = {0, 2000}}, left;
    signal(kinds[i].signal, count_alarm);
    MUST(getitimer(kinds[i].which, &left) == 0);
    say("none before: %d", left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
    alarms = 0;
    MUST(setitimer(kinds[i].which, &once, NULL) == 0);
    while (alarms == 0) {
    }
    say("alarms %d", (int)alarms);
    signal(kinds[i].signal, SIG_DFL);
  }
  say("alarm: %u", alarm(100));
  say("left: %d", alarm(0) > 90);
}

static void descriptors(char** unused) {
  (void)unused;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  unsigned long long times = 0;
  MUST(fd >= 0 && timerfd_settime(fd, 0, &soon, NULL) == 0);
  MUST(read(fd, &times, sizeof times) == sizeof times);
  say("times %llu", times);
  close(fd);
}

/* Without a vdso libc has to ask the kernel. */
static void clocks(char** unused) {
  (void)unused;
  const clockid_t all[] = {CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
                           CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
                           CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    struct timespec now, kernel, resolution, later;
    MUST(clock_gettime(all[i], &now) == 0);
    MUST(syscall(SYS_clock_gettime, all[i], &kernel) == 0);
    MUST(clock_gettime(all[i], &later) == 0);
    MUST(clock_getres(all[i], &resolution) == 0);
    double first = (double)now.tv_sec + (double)now.tv_nsec / 1e9,
           second = (double)kernel.tv_sec + (double)kernel.tv_nsec / 1e9,
           third = (double)later.tv_sec + (double)later.tv_nsec / 1e9;
    say("in order: %d, resolution %ld", first <= second && second <= third, resolution.tv_nsec);
  }
  struct timeval day;
  struct tms spent;
  time_t now = time(NULL);
  MUST(gettimeofday(&day, NULL) == 0);
  say("the same second: %d", day.tv_sec - now <= 1);
  say("times: %d", times(&spent) != (clock_t)-1);
  say("clock near zero: %d", clock() < 5 * CLOCKS_PER_SEC);
}

static void sleeps(char** unused) {
  (void)unused;
  struct timespec before, after, left;
  clock_gettime(CLOCK_MONOTONIC, &before);
  say("nanosleep: %d", nanosleep(&(struct timespec){0, 2000000}, &left));
  clock_gettime(CLOCK_MONOTONIC, &after);
  say("slept: %d", (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 2000000);
  say("until now: %d", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &after, NULL));
}

/* zone(name): of the script's own making. */
static void zone(char** arguments) {
  time_t billion = 1000000000;
  char line[64];
  strftime(line, sizeof line, "%Y-%m-%d %H:%M %Z", localtime(&billion));
  say("%s", line);
  MUST(setenv("TZ", arguments[0], 1) == 0);
  tzset();
  strftime(line, sizeof line, "%Y-%m-%d %H:%M %Z", localtime(&billion));
  say("%s %s %s %ld", line, tzname[0], tzname[1], timezone);
  MUST(unsetenv("TZ") == 0);
  tzset();
}

const struct check timer_checks[] = {
    {"by_signal", by_signal}, {"by_thread", by_thread}, {"intervals", intervals}, {"descriptors", descriptors},
    {"clocks", clocks},       {"sleeps", sleeps},       {"zone", zone},           {NULL, NULL}};
