#include "freeze/generators.h"

#include "base/replaces.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace moonlet::freeze {

namespace {

// SQLite: forgets its state and seeds itself at the next use, if asked for no bytes (sqlite3_randomness, its C
// API).
using ForgetState = void (*)(int size, void* bytes);
// GLib: g_random_set_seed.
using SetSeed = void (*)(uint32_t seed);
// NSS, once it is initialized: PK11_RandomUpdate mixes bytes in.
using IsInitialized = int (*)();
using MixIn = int (*)(void* bytes, int size);

SetSeed seed_glib = nullptr;
MixIn mix_into_nss = nullptr;

// Generators of libc's.
unsigned seeded = 0;  // so far, by whoever that was
unsigned seeded_by_warm_up = 0;
unsigned to_seed = 0;  // in each launch

template <typename Function>
Function find(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

int look_into(dl_phdr_info* object, size_t, void*) {
  if (object->dlpi_name == nullptr || *object->dlpi_name == '\0') return 0;
  void* const library = dlopen(object->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return 0;
  if (const auto forget = find<ForgetState>(library, "sqlite3_randomness")) forget(0, nullptr);
  if (const auto set = find<SetSeed>(library, "g_random_set_seed")) seed_glib = set;
  const auto is_initialized = find<IsInitialized>(library, "NSS_IsInitialized");
  const auto mix = find<MixIn>(library, "PK11_RandomUpdate");
  if (is_initialized != nullptr && mix != nullptr && is_initialized() != 0) mix_into_nss = mix;
  dlclose(library);
  return 0;
}

void draw(void* bytes, size_t size) {
  constexpr unsigned kAtOnce = 1;  // GRND_NONBLOCK: early at boot there are none, and lua would not have waited
  syscall(SYS_getrandom, bytes, size, kAtOnce);
}

}  // namespace

bool prepare_generators(bool with_entropy) {
  dl_iterate_phdr(look_into, nullptr);
  seeded_by_warm_up = seeded;
  if (with_entropy) to_seed = seeded;
  return (seeded & (kRand | kRandom)) != 0;
}

void forget_own_seeds() { seeded = seeded_by_warm_up; }

MOONLET_UNCHECKED void note_seed(unsigned which) { seeded |= which; }

void seed_generators() {
  if (to_seed == 0 && seed_glib == nullptr && mix_into_nss == nullptr) return;
  uint32_t random[8] = {};
  draw(random, sizeof random);
  if ((to_seed & kRand) != 0) srand(random[0]);
  if ((to_seed & kRandom) != 0) srandom(random[1]);
  if ((to_seed & kRand48) != 0) srand48(static_cast<long>(random[2]));
  if (seed_glib != nullptr) seed_glib(random[3]);
  if (mix_into_nss != nullptr) mix_into_nss(random, sizeof random);
}

}  // namespace moonlet::freeze
