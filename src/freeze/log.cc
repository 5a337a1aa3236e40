#include "freeze/log.h"

#include "image/answer.h"

#include <string.h>
#include <sys/mman.h>

namespace moonlet::freeze::questions {

constinit Log* recording = nullptr;
constinit Log* recorded = nullptr;

Log* Log::create(const Options& its_options, char** its_environment) {
  // Far from what will be in the image, so that it leaves no hole there.
#if UINTPTR_MAX > UINT32_MAX
  constexpr uintptr_t kFar = uintptr_t{1} << 44;
#else
  constexpr uintptr_t kFar = uintptr_t{1} << 30;
#endif
  void* at = mmap(reinterpret_cast<void*>(kFar), kMapped, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* log = static_cast<Log*>(at);
  log->used_ = (sizeof *log + 7) / 8 * 8;
  log->options = its_options;
  size_t count = 0;
  while (its_environment[count] != nullptr) count++;
  log->environment = static_cast<char**>(log->allocate((count + 1) * sizeof(char*)));
  if (log->environment == nullptr) return nullptr;
  memcpy(log->environment, its_environment, count * sizeof(char*));
  log->records_begin_ = log->used_;
  return log;
}

void Log::destroy() { munmap(this, kMapped); }

void* Log::allocate(size_t size) {
  size = (size + 7) / 8 * 8;
  if (size > kMapped) return nullptr;
  const uint32_t at = __atomic_fetch_add(&used_, static_cast<uint32_t>(size), __ATOMIC_RELAXED);
  if (at <= kMapped - size) return reinterpret_cast<char*>(this) + at;
  __atomic_fetch_sub(&used_, static_cast<uint32_t>(size), __ATOMIC_RELAXED);
  has_failed = 1;
  return nullptr;
}

uint32_t* Log::find(image::Asked asked, uint32_t aux, const char* text, size_t length) const {
  const uint64_t hash = image::hash_bytes(static_cast<uint64_t>(asked) << 32 | aux, text, length);
  for (size_t i = 0; i < kSlots; i++) {
    const uint32_t* slot = &slots_[(hash + i) % kSlots];
    const uint32_t offset = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (offset == 0) return const_cast<uint32_t*>(slot);
    const image::Question* record = at(offset);
    if (record->asked == asked && record->aux == aux && record->size >= sizeof *record + length + 2 &&
        memcmp(text_of(record), text, length) == 0 && text_of(record)[length] == '\0')
      return const_cast<uint32_t*>(slot);
  }
  return nullptr;
}

const image::Question* Log::get(image::Asked asked, uint32_t aux, const char* text, size_t length) const {
  const uint32_t* slot = find(asked, aux, text, length);
  return slot != nullptr && *slot != 0 ? at(*slot) : nullptr;
}

void Log::add(image::Asked asked, uint32_t aux, const char* text, size_t length, uint64_t answer) {
  uint32_t* slot = find(asked, aux, text, length);
  if (slot != nullptr && *slot != 0) return;
  const size_t size = (sizeof(image::Question) + length + 2 + 7) / 8 * 8;  // two zeroes: kVariables ends so
  auto* record =
      size <= UINT16_MAX && slot != nullptr ? static_cast<image::Question*>(allocate(size)) : nullptr;
  if (record == nullptr) {
    has_failed = 1;
    return;
  }
  // Its size first: whoever is killed on the way leaves a record behind that can be stepped over.
  record->size = static_cast<uint16_t>(size);
  record->aux = aux;
  record->answer = answer;
  memcpy(record + 1, text, length);
  record->asked = asked;
  const auto offset = static_cast<uint32_t>(reinterpret_cast<char*>(record) - reinterpret_cast<char*>(this));
  uint32_t empty = 0;
  while (!__atomic_compare_exchange_n(slot, &empty, offset, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    slot = find(asked, aux, text, length);
    empty = 0;
    if (slot != nullptr && *slot == 0) continue;
    if (slot == nullptr) has_failed = 1;
    record->asked = kVoid;
    return;
  }
}

void Log::add_problem(Matter matter, const char* text) {
  size_t length = strlen(text);
  if (length > 4096) length = 4096;
  if (!ignores_path(text)) add(kProblem, static_cast<uint32_t>(matter), text, length, 0);
}

void Log::add_asker(const char* name) { add(kAsker, askers++, name, strlen(name), 0); }

bool Log::withdraw_problem(Matter matter, const char* text) {
  const uint32_t* const slot = find(kProblem, static_cast<uint32_t>(matter), text, strlen(text));
  if (slot == nullptr || *slot == 0) return false;
  const_cast<image::Question*>(at(*slot))->asked = kVoid;
  return true;
}

bool Log::ignores(const char* name, size_t length) const {
  for (size_t i = 0; i < options.ignored_count; i++) {
    const char* ignored = options.ignored[i];
    if (strncmp(ignored, name, length) == 0 && ignored[length] == '\0') return true;
  }
  return false;
}

bool Log::ignores_path(const char* path) const {
  for (size_t i = 0; i < options.ignored_count; i++) {
    const char* ignored = options.ignored[i];
    const size_t length = strlen(ignored);
    if (length > 0 && strncmp(ignored, path, length) == 0 &&
        (path[length] == '\0' || path[length] == '/' || ignored[length - 1] == '/'))
      return true;
  }
  return false;
}

const image::Question* Log::next(const image::Question* record) {
  uint32_t offset = records_begin_;
  if (record != nullptr) {
    const char* behind = reinterpret_cast<const char*>(record) + record->size;
    offset = static_cast<uint32_t>(behind - reinterpret_cast<const char*>(this));
  }
  if (offset >= records_end_) return nullptr;
  if (at(offset)->size != 0) return at(offset);
  has_failed = 1;
  return nullptr;
}

}  // namespace moonlet::freeze::questions
