/* The Lua module random_probe: random numbers of each library that draws them, 16 bytes in hexadecimal. The
 * libraries are loaded when they are asked, so that none has to be there: a function that finds none returns
 * nil and why. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#define SIZE 16

static int push(lua_State* L, const unsigned char* bytes) {
  char shown[2 * SIZE + 1];
  for (int i = 0; i < SIZE; i++) sprintf(shown + 2 * i, "%02x", bytes[i]);
  return lua_pushstring(L, shown), 1;
}

/* Finds a function of a library, which stays loaded; or pushes why not and returns NULL. NULL for this
 * program's own. */
static void* find(lua_State* L, const char* library, const char* name) {
  void* handle = dlopen(library, RTLD_NOW);
  void* function = handle != NULL ? dlsym(handle, name) : NULL;
  if (function == NULL) {
    lua_pushnil(L);
    lua_pushstring(L, dlerror());
  }
  return function;
}

#define FUNCTION(result, name, library, ...) \
  result (*name)(__VA_ARGS__);               \
  if ((*(void**)& name = find(L, library, #name)) == NULL) return 2

/* openssl(name): RAND_bytes or RAND_priv_bytes. */
static int openssl(lua_State* L) {
  unsigned char bytes[SIZE];
  int (*draw)(unsigned char*, int);
  if ((*(void**)& draw = find(L, "libcrypto.so.3", luaL_checkstring(L, 1))) == NULL) return 2;
  if (draw(bytes, SIZE) != 1) return luaL_error(L, "it fails");
  return push(L, bytes);
}

static int gcrypt_nonce(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(const char*, gcry_check_version, "libgcrypt.so.20", const char*);
  FUNCTION(void, gcry_create_nonce, "libgcrypt.so.20", void*, size_t);
  gcry_check_version(NULL);
  gcry_create_nonce(bytes, SIZE);
  return push(L, bytes);
}

/* gcrypt(level): 1 strong, 2 very strong. */
static int gcrypt(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(const char*, gcry_check_version, "libgcrypt.so.20", const char*);
  FUNCTION(void, gcry_randomize, "libgcrypt.so.20", void*, size_t, int);
  gcry_check_version(NULL);
  gcry_randomize(bytes, SIZE, (int)luaL_checkinteger(L, 1));
  return push(L, bytes);
}

/* gnutls(level): 0 nonces, 1 random, 2 keys. */
static int gnutls(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(int, gnutls_rnd, "libgnutls.so.30", int, void*, size_t);
  if (gnutls_rnd((int)luaL_checkinteger(L, 1), bytes, SIZE) != 0) return luaL_error(L, "it fails");
  return push(L, bytes);
}

static int sodium(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(int, sodium_init, "libsodium.so.23", void);
  FUNCTION(void, randombytes_buf, "libsodium.so.23", void*, size_t);
  if (sodium_init() < 0) return luaL_error(L, "it fails");
  randombytes_buf(bytes, SIZE);
  return push(L, bytes);
}

/* sodium_internal: the generator that keeps a state of its own. */
static int sodium_internal(lua_State* L) {
  void* implementation = find(L, "libsodium.so.23", "randombytes_internal_implementation");
  if (implementation == NULL) return 2;
  FUNCTION(int, randombytes_set_implementation, "libsodium.so.23", void*);
  randombytes_set_implementation(implementation);
  return sodium(L);
}

/* uuid(name): uuid_generate and its kin. */
static int uuid(lua_State* L) {
  unsigned char bytes[SIZE];
  void (*draw)(unsigned char*);
  if ((*(void**)& draw = find(L, "libuuid.so.1", luaL_checkstring(L, 1))) == NULL) return 2;
  draw(bytes);
  return push(L, bytes);
}

static int sqlite(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(int, sqlite3_initialize, "libsqlite3.so.0", void);
  FUNCTION(void, sqlite3_randomness, "libsqlite3.so.0", int, void*);
  sqlite3_initialize();
  sqlite3_randomness(SIZE, bytes);
  return push(L, bytes);
}

static int glib(lua_State* L) {
  uint32_t words[SIZE / 4];
  FUNCTION(uint32_t, g_random_int, "libglib-2.0.so.0", void);
  for (int i = 0; i < SIZE / 4; i++) words[i] = g_random_int();
  return push(L, (unsigned char*)words);
}

static int nss(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(int, NSS_NoDB_Init, "libnss3.so", const char*);
  FUNCTION(int, PK11_GenerateRandom, "libnss3.so", unsigned char*, int);
  if (NSS_NoDB_Init(NULL) != 0 || PK11_GenerateRandom(bytes, SIZE) != 0) return luaL_error(L, "it fails");
  return push(L, bytes);
}

/* arc4random([library]): libc's, from glibc 2.36 on. */
static int own_arc4random(lua_State* L) {
  unsigned char bytes[SIZE];
  FUNCTION(void, arc4random_buf, luaL_optstring(L, 1, NULL), void*, size_t);
  arc4random_buf(bytes, SIZE);
  return push(L, bytes);
}

static int own_getrandom(lua_State* L) {
  unsigned char bytes[SIZE];
  if (getrandom(bytes, SIZE, 0) != SIZE) return luaL_error(L, "it fails");
  return push(L, bytes);
}

static int own_getentropy(lua_State* L) {
  unsigned char bytes[SIZE];
  if (getentropy(bytes, SIZE) != 0) return luaL_error(L, "it fails");
  return push(L, bytes);
}

/* seed(generator, how): how is a number, or "entropy" for one that is drawn. */
static int seed(lua_State* L) {
  const char *generator = luaL_checkstring(L, 1), *how = luaL_checkstring(L, 2);
  unsigned value = (unsigned)strtoul(how, NULL, 10);
  if (!strcmp(how, "entropy") && getentropy(&value, sizeof value) != 0) return luaL_error(L, "it fails");
  if (!strcmp(generator, "rand")) srand(value);
  if (!strcmp(generator, "random")) srandom(value);
  if (!strcmp(generator, "drand48")) srand48((long)value);
  return 0;
}

/* draw(generator): the next number of rand, random or drand48. */
static int draw(lua_State* L) {
  const char* generator = luaL_checkstring(L, 1);
  double number = !strcmp(generator, "rand")     ? rand()
                  : !strcmp(generator, "random") ? (double)random()
                                                 : drand48();
  return lua_pushnumber(L, number), 1;
}

static unsigned char *wiped, *droppable, *left_out;

static int push_content(lua_State* L, const unsigned char* block) {
  char said[40];
  int filled = 0, zeroes = 0;
  for (int i = 0; i < 8192; i++) filled += block[i] == 0xa5, zeroes += block[i] == 0;
  snprintf(said, sizeof said, "filled %d, zero %d", filled, zeroes);
  return lua_pushstring(L, said), 1;
}

/* wipe: fills a mapping that a fork wipes, if this is the first call; says what is in it. */
static int wipe(lua_State* L) {
#ifdef MADV_WIPEONFORK
  if (wiped == NULL) {
    wiped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wiped == MAP_FAILED || madvise(wiped, 8192, MADV_WIPEONFORK) != 0)
      return lua_pushnil(L), lua_pushstring(L, strerror(errno)), 2;
    memset(wiped, 0xa5, 8192);
  }
  return push_content(L, wiped);
#else
  return lua_pushnil(L), lua_pushliteral(L, "MADV_WIPEONFORK is unknown"), 2;
#endif
}

/* wipe_in_child: fills it again, and says what a child finds there. */
static int wipe_in_child(lua_State* L) {
  memset(wiped, 0xa5, 8192);
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    int filled = 0;
    for (int i = 0; i < 8192; i++) filled += wiped[i] != 0;
    _exit(filled != 0);
  }
  waitpid(pid, &status, 0);
  return lua_pushstring(L, pid > 0 && status == 0 ? "empty" : "filled"), 1;
}

/* drop: likewise a mapping that the kernel may drop (mmap(2), MAP_DROPPABLE, Linux 6.11), as generators in the
 * vdso use. */
static int drop(lua_State* L) {
  const int kind = 0x08;
  if (droppable == NULL) {
    void* block = mmap(NULL, 8192, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return lua_pushnil(L), lua_pushstring(L, strerror(errno)), 2;
    droppable = block;
    memset(droppable, 0xa5, 8192);
  }
  return push_content(L, droppable);
}

/* leave_out: likewise a mapping that no child of a fork has (MADV_DONTFORK). */
static int leave_out(lua_State* L) {
  if (left_out == NULL) {
    left_out = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (left_out == MAP_FAILED || madvise(left_out, 8192, MADV_DONTFORK) != 0)
      return luaL_error(L, "%s", strerror(errno));
    memset(left_out, 0xa5, 8192);
  }
  return push_content(L, left_out);
}

int luaopen_random_probe(lua_State* L) {
  static const luaL_Reg functions[] = {{"openssl", openssl},
                                       {"gcrypt_nonce", gcrypt_nonce},
                                       {"gcrypt", gcrypt},
                                       {"gnutls", gnutls},
                                       {"sodium", sodium},
                                       {"sodium_internal", sodium_internal},
                                       {"uuid", uuid},
                                       {"sqlite", sqlite},
                                       {"glib", glib},
                                       {"nss", nss},
                                       {"arc4random", own_arc4random},
                                       {"getrandom", own_getrandom},
                                       {"getentropy", own_getentropy},
                                       {"seed", seed},
                                       {"draw", draw},
                                       {"wipe", wipe},
                                       {"wipe_in_child", wipe_in_child},
                                       {"drop", drop},
                                       {"leave_out", leave_out},
                                       {NULL, NULL}};
  lua_newtable(L);
  for (const luaL_Reg* f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
  return 1;
}
