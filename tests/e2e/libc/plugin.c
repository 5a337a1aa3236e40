/* What libc_probe loads by itself: it writes when it comes and goes. */
#include <unistd.h>

#ifdef __GLIBC__ /* musl has no room beside the first blocks for modules that are loaded later */
static __thread int count __attribute__((tls_model("initial-exec"))) = 40;
#else
static __thread int count = 40;
#endif

int plugin_count(void) { return ++count; }

__attribute__((constructor)) static void come(void) { (void)!write(1, "constructor\n", 12); }
__attribute__((destructor)) static void go(void) { (void)!write(1, "destructor\n", 11); }
