/* The Lua module `states`: Lua states beside the script's own, in its thread and in others. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* Runs `code`, and leaves its result, or its error, as text on top of the stack. */
static void evaluate(lua_State* state, const char* code) {
  lua_settop(state, 0);
  if (luaL_loadstring(state, code) == 0) lua_pcall(state, 0, 1, 0);
  if (lua_tostring(state, -1) == NULL) lua_pushstring(state, luaL_typename(state, -1));
}

static int return_text(lua_State* L, lua_State* of) {
  lua_pushstring(L, lua_tostring(of, -1));
  return 1;
}

/* run(code): in a state of its own. */
static int run(lua_State* L) {
  lua_State* state = luaL_newstate();
  luaL_openlibs(state);
  evaluate(state, luaL_checkstring(L, 1));
  return_text(L, state);
  lua_close(state);
  return 1;
}

static lua_State* kept;

/* run_in_kept(code): in a state that lives until close_kept(). */
static int run_in_kept(lua_State* L) {
  if (kept == NULL) {
    kept = luaL_newstate();
    luaL_openlibs(kept);
  }
  evaluate(kept, luaL_checkstring(L, 1));
  return return_text(L, kept);
}

static int close_kept(lua_State* L) {
  (void)L;
  lua_close(kept);
  kept = NULL;
  return 0;
}

/* A state with the allocator of another one; LuaJIT may refuse that. */
static lua_State* new_state_like(lua_State* L) {
  void* context;
  lua_Alloc allocate = lua_getallocf(L, &context);
#if LUA_VERSION_NUM >= 505
  lua_State* state = lua_newstate(allocate, context, 42);
#else
  lua_State* state = lua_newstate(allocate, context);
#endif
  return state != NULL ? state : luaL_newstate();
}

/* run_like_this(code): in a state with this one's allocator. */
static int run_like_this(lua_State* L) {
  lua_State* state = new_state_like(L);
  luaL_openlibs(state);
  evaluate(state, luaL_checkstring(L, 1));
  return_text(L, state);
  lua_close(state);
  return 1;
}

enum { kThreads = 4, kForks = 20 };

struct Work {
  pthread_t thread;
  lua_State* state;
  const char* code;
  int* running;
};

static void* work(void* data) {
  struct Work* its = data;
  luaL_openlibs(its->state);
  evaluate(its->state, its->code);
  __atomic_sub_fetch(its->running, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void start(lua_State* L, struct Work* works, int* running, const char* code) {
  *running = kThreads;
  for (int i = 0; i < kThreads; i++) {
    works[i] = (struct Work){.state = new_state_like(L), .code = code, .running = running};
    if (pthread_create(&works[i].thread, NULL, work, &works[i]) != 0) abort();
  }
}

/* Pushes the results of all, joined. */
static int finish(lua_State* L, struct Work* works) {
  for (int i = 0; i < kThreads; i++) {
    pthread_join(works[i].thread, NULL);
    lua_pushfstring(L, "%s ", lua_tostring(works[i].state, -1));
    lua_close(works[i].state);
  }
  lua_concat(L, kThreads);
  return 1;
}

/* run_in_threads(code): in several, each with a state that has this one's allocator, and meanwhile in this one.
 */
static int run_in_threads(lua_State* L) {
  struct Work works[kThreads];
  int running;
  lua_State* own = lua_newthread(L);
  start(L, works, &running, luaL_checkstring(L, 1));
  do evaluate(own, lua_tostring(L, 1));
  while (__atomic_load_n(&running, __ATOMIC_SEQ_CST) > 0);
  return finish(L, works);
}

/* fork_beside_threads(code): runs `code` in copies of this process, made while others run it in threads.
 * Returns how many of the copies ended well. */
static int fork_beside_threads(lua_State* L) {
  struct Work works[kThreads];
  int running, well = 0;
  start(L, works, &running, luaL_checkstring(L, 1));
  for (int i = 0; i < kForks; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(20);
      evaluate(L, lua_tostring(L, 1));
      _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    well += status == 0;
  }
  finish(L, works);
  lua_pushinteger(L, well);
  return 1;
}

static struct {
  lua_Alloc allocate;
  void* context;
  pthread_mutex_t mutex;
} wrapped = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void* allocate_locked(void* context, void* block, size_t old_size, size_t new_size) {
  (void)context;
  pthread_mutex_lock(&wrapped.mutex);
  void* result = wrapped.allocate(wrapped.context, block, old_size, new_size);
  pthread_mutex_unlock(&wrapped.mutex);
  return result;
}

/* wrap_allocator(): as those do who share a state's allocator with threads. */
static int wrap_allocator(lua_State* L) {
  wrapped.allocate = lua_getallocf(L, &wrapped.context);
  lua_setallocf(L, allocate_locked, NULL);
  return 0;
}

static int unwrap_allocator(lua_State* L) {
  lua_setallocf(L, wrapped.allocate, wrapped.context);
  return 0;
}

static void* read_to_the_end(void* file) {
  while (getc(file) != EOF) continue;
  return NULL;
}

static void* keep_locked(void* file) {
  flockfile(file);
  for (;;) pause();
  return NULL;
}

/* A thread that holds the lock of `file`: returns when it has it. */
static int hold(FILE* file, void* (*function)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, function, file) != 0) abort();
  pthread_detach(thread);
  while (ftrylockfile(file) == 0) {
    funlockfile(file);
    sched_yield();
  }
  return 0;
}

static int read_in_thread(lua_State* L) { return (void)L, hold(stdin, read_to_the_end); }
static int lock_in_thread(lua_State* L) { return (void)L, hold(fopen("/dev/null", "w"), keep_locked); }

int luaopen_states(lua_State* L) {
  static const luaL_Reg kFunctions[] = {{"run", run},
                                        {"run_in_kept", run_in_kept},
                                        {"close_kept", close_kept},
                                        {"run_like_this", run_like_this},
                                        {"run_in_threads", run_in_threads},
                                        {"fork_beside_threads", fork_beside_threads},
                                        {"wrap_allocator", wrap_allocator},
                                        {"unwrap_allocator", unwrap_allocator},
                                        {"read_in_thread", read_in_thread},
                                        {"lock_in_thread", lock_in_thread}};
  lua_newtable(L);
  for (size_t i = 0; i < sizeof kFunctions / sizeof *kFunctions; i++) {
    lua_pushcfunction(L, kFunctions[i].func);
    lua_setfield(L, -2, kFunctions[i].name);
  }
  return 1;
}
