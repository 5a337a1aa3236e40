/* Modules of the module: dlopen and its kin. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#include "check.h"

#ifdef __GLIBC__
#define MATH "libm.so.6"
#else
#define MATH "libc.so"
#endif

static const char* base_name(const char* path) {
  const char* slash = path == NULL ? NULL : strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

static void load_by_name(char** unused) {
  (void)unused;
  void* library = dlopen(MATH, RTLD_NOW);
  say("library: %s", library != NULL ? "there" : dlerror());
  if (library == NULL) return;
  double (*cosine)(double);
  *(void**)&cosine = dlsym(library, "cos");
  say("cos: %.3f", cosine != NULL ? cosine(0.5) : 0);
  say("close: %d", dlclose(library));
  say("no such: %s", dlopen("libnonexistent.so.0", RTLD_NOW) == NULL ? dlerror() : "there");
  say("no such: %s", dlopen("/nonexistent/libc_plugin.so", RTLD_NOW) == NULL ? dlerror() : "there");
}

/* Loads what nothing has loaded before. */
static void load_crypt(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  void* library = dlopen("libcrypt.so.1", RTLD_NOW);
  say("library: %s", library != NULL ? "there" : dlerror());
  if (library == NULL) return;
  char* (*crypts)(const char*, const char*);
  *(void**)&crypts = dlsym(library, "crypt");
  say("crypt: %s", crypts("secret", "$6$salt$"));
  say("close: %d", dlclose(library));
#endif
}

/* load_plugin(path): a module whose constructor and destructor write, with a variable of each thread. By a name
 * without a slash it is found through this module's own RUNPATH. */
static void load_plugin(char** arguments) {
  for (int turn = 0; turn < 2; turn++) {
    void* plugin = dlopen(arguments[0], RTLD_NOW);
    say("plugin: %s", plugin != NULL ? "there" : dlerror());
    if (plugin == NULL) return;
    int (*count)(void);
    *(void**)&count = dlsym(plugin, "plugin_count");
    count();
    say("count: %d", count());
    say("loaded: %d", dlopen(arguments[0], RTLD_NOW | RTLD_NOLOAD) == plugin);
    dlclose(plugin);
    say("no such: %d", dlsym(plugin, "nonexistent") == NULL);
    say("close: %d", dlclose(plugin));
    say("loaded: %d", dlopen(arguments[0], RTLD_NOW | RTLD_NOLOAD) != NULL); /* musl never unloads */
  }
}

/* kept_plugin(path): loaded once, in the warm-up or here, and never closed. */
static void kept_plugin(char** arguments) {
  static int (*count)(void);
  if (count == NULL) {
    void* plugin = dlopen(arguments[0], RTLD_NOW);
    MUST(plugin != NULL);
    *(void**)&count = dlsym(plugin, "plugin_count");
  }
  say("count: %d", count());
}

static void symbols(char** unused) {
  (void)unused;
  Dl_info info;
  memset(&info, 0, sizeof info);
  MUST(dladdr((void*)symbols, &info) != 0);
  say("own: %s", base_name(info.dli_fname));
  MUST(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0);
  say("malloc: %s in %s", info.dli_sname, base_name(info.dli_fname));
  say("default: %d", dlsym(RTLD_DEFAULT, "lua_gettop") != NULL);
  say("next: %d", dlsym(RTLD_NEXT, "malloc") != NULL);
  say("no address: %d", dladdr(&info, &info));
  void* program = dlopen(NULL, RTLD_NOW);
  say("program: %d", program != NULL && dlsym(program, "lua_gettop") != NULL);
}

static __thread int of_thread = 3;

struct listed {
  int objects, is_program_first, own, libc, unreadable, variables;
};

static int look_at(struct dl_phdr_info* object, size_t size, void* result) {
  struct listed* listed = result;
  const char* name = base_name(object->dlpi_name);
  if (strstr(name, "vdso")) return 0; /* a moonlet's has none */
  if (listed->objects++ == 0) listed->is_program_first = name[0] == 0 || strstr(name, "lua") != NULL;
  int zero[2];
  MUST(pipe(zero) == 0);
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD && part->p_type != PT_DYNAMIC) continue;
    /* The kernel says whether it can be read. */
    listed->unreadable += write(zero[1], (void*)(object->dlpi_addr + part->p_vaddr), 1) != 1;
  }
  close(zero[0]), close(zero[1]);
  listed->libc += !strncmp(name, "libc.so", 7) || !strncmp(name, "ld-musl", 7);
  if (strcmp(name, "libc_probe.so")) return 0;
  listed->own++;
  if (size >= offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(void*))
    listed->variables =
        object->dlpi_tls_data != NULL && labs((char*)&of_thread - (char*)object->dlpi_tls_data) < 200000;
  return 0;
}

static void objects(char** unused) {
  (void)unused;
  struct listed listed = {0};
  of_thread++; /* its block exists */
  say("walk: %d", dl_iterate_phdr(look_at, &listed));
  say("the program is first: %d, own: %d, libc: %d", listed.is_program_first, listed.own, listed.libc);
  say("unreadable: %d, own variables: %d", listed.unreadable, listed.variables);
}

/* A libc of its own beside this one. */
static void namespaces(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  void* library = dlmopen(LM_ID_NEWLM, MATH, RTLD_NOW);
  say("library: %s", library != NULL ? "there" : dlerror());
  if (library == NULL) return;
  double (*root)(double);
  *(void**)&root = dlsym(library, "cbrt");
  say("cbrt: %.3f", root(27));
  say("close: %d", dlclose(library));
#endif
}

/* glibc loads libgcc_s for it. */
static void backtraces(char** unused) {
  (void)unused;
#ifdef __GLIBC__
  void* frames[64];
  int count = backtrace(frames, 64), own = 0;
  char** names = backtrace_symbols(frames, count);
  MUST(names != NULL);
  for (int i = 0; i < count; i++) own += strstr(names[i], "libc_probe.so") != NULL;
  say("deep: %d, own frames: %d", count > 2, own);
  free(names);
#endif
}

const struct check loading_checks[] = {
    {"load_by_name", load_by_name}, {"load_crypt", load_crypt}, {"load_plugin", load_plugin},
    {"kept_plugin", kept_plugin},   {"symbols", symbols},       {"objects", objects},
    {"namespaces", namespaces},     {"backtraces", backtraces}, {NULL, NULL}};
