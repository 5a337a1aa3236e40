#include "lua/needs.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace moonlet::needs {

namespace {

// A script that requires writes to these bits alone, beside other variables that it writes to.
constexpr int kMost = 4096;
constexpr int kBits = CHAR_BIT;
uint8_t given[kMost / kBits];

Module* modules = nullptr;
int module_count = 1;  // with the one that is none

struct Need {
  uint16_t who;
  uint16_t what;
  bool operator==(const Need&) const = default;
};
Need* list = nullptr;
int need_count = 0;

template <typename Element>
bool grow(Element*& elements, int count) {
  void* const grown = realloc(elements, sizeof(Element) * (static_cast<size_t>(count) + 1));
  if (grown != nullptr) elements = static_cast<Element*>(grown);
  return grown != nullptr;
}

// What is there lies in the image below: to grow it would give it to whoever asks malloc next.
template <typename Element>
Element* copy(Element* elements, int count) {
  const size_t size = sizeof(Element) * static_cast<size_t>(count);
  void* const copied = elements != nullptr ? malloc(size) : nullptr;
  if (copied == nullptr) return elements;
  memcpy(copied, elements, size);
  return static_cast<Element*>(copied);
}

void mark(int module) { given[module / kBits] |= static_cast<uint8_t>(1 << module % kBits); }

}  // namespace

const Module* find(const char* name) {
  for (int i = 1; i < module_count; i++) {
    if (strcmp(modules[i].name, name) == 0) return &modules[i];
  }
  return nullptr;
}

int add(const char* name) {
  if (const Module* known = find(name)) return static_cast<int>(known - modules);
  if (module_count == kMost || !grow(modules, module_count)) return 0;
  Module& added = modules[module_count];
  added = {strdup(name), {}, false, 0, module_count};
  return added.name != nullptr ? module_count++ : 0;
}

void add_need(int who, int what) {
  const Need need = {static_cast<uint16_t>(who), static_cast<uint16_t>(what)};
  if (who == 0 || what == 0 || who == what || has_asked_for(who, what)) return;
  if (grow(list, need_count)) list[need_count++] = need;
}

bool has_asked_for(int who, int what) {
  const Need need = {static_cast<uint16_t>(who), static_cast<uint16_t>(what)};
  for (int i = 0; i < need_count; i++) {
    if (list[i] == need) return true;
  }
  return false;
}

int count() { return module_count - 1; }

Module& at(int module) { return modules[module]; }

void form_groups() {
  for (bool changes = true; changes;) {
    changes = false;
    for (int i = 0; i < need_count; i++) {
      int& one = modules[list[i].who].group;
      int& other = modules[list[i].what].group;
      changes |= one != other;
      one = other = one < other ? one : other;
    }
  }
}

bool is_given(int module) { return (given[module / kBits] >> module % kBits & 1) != 0; }

void give(int module) {
  mark(module);
  for (bool changes = true; changes;) {
    changes = false;
    for (int i = 0; i < need_count; i++) {
      if (!is_given(list[i].who) || is_given(list[i].what)) continue;
      mark(list[i].what);
      changes = true;
    }
  }
}

void take_all() {
  memset(given, 0, sizeof given);
  modules = copy(modules, module_count);
  list = copy(list, need_count);
  for (int i = 1; i < module_count; i++) modules[i].looked_at = 0;
}

void give_group(int group) {
  for (int i = 1; i < module_count; i++) {
    if (modules[i].group == group) mark(i);
  }
}

}  // namespace moonlet::needs
