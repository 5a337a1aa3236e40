// What the static client needs of <string.h>, on machines where every byte counts: musl's own, which is for
// speed, takes ten times as much. What is copied and compared here is short.

#include <stddef.h>  // and not <string.h>: its declarations differ from one C library to the next

// The compiler would make calls of themselves of these loops.
#pragma GCC optimize("no-tree-loop-distribute-patterns")

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): each C library has names of its own
extern "C" {

[[gnu::used]] void* memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  auto* at = static_cast<char*>(to);
  const auto* its = static_cast<const char*>(from);
  while (size-- > 0) *at++ = *its++;
  return to;
}

[[gnu::used]] void* memset(void* to, int value, size_t size) {
  auto* at = static_cast<char*>(to);
  while (size-- > 0) *at++ = static_cast<char>(value);
  return to;
}

[[gnu::used]] int memcmp(const void* a, const void* b, size_t size) {
  const auto* one = static_cast<const unsigned char*>(a);
  const auto* other = static_cast<const unsigned char*>(b);
  for (; size > 0; size--, one++, other++) {
    if (*one != *other) return *one - *other;
  }
  return 0;
}

[[gnu::used]] size_t strlen(const char* text) {
  const char* end = text;
  while (*end != '\0') end++;
  return static_cast<size_t>(end - text);
}

[[gnu::used]] int strncmp(const char* a, const char* b, size_t size) {
  for (; size > 0 && *a == *b && *a != '\0'; size--) a++, b++;
  return size == 0 ? 0 : static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}

[[gnu::used]] int strcmp(const char* a, const char* b) { return strncmp(a, b, static_cast<size_t>(-1)); }

[[gnu::used]] char* strchr(const char* text, int letter) {
  for (; *text != static_cast<char>(letter); text++) {
    if (*text == '\0') return nullptr;
  }
  return const_cast<char*>(text);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
