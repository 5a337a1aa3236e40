// Which modules a warm-up has loaded, and which of them needed which. Modules have numbers, from 1; 0 is what
// no module did: the script of the warm-up.
#pragma once

#include "lua/module_origin.h"

namespace moonlet::needs {

struct Module {
  char* name;
  ModuleOrigin origin;  // of what `require` would have loaded at the seal
  bool has_origin;      // false: nothing
  int looked_at;        // by whoever looks at groups
  int group;            // who needs each other, directly or not, has the same: the lowest of their numbers
};

/// The number of the module `name`, which is added if it is new. 0 without memory.
int add(const char* name);

/// The module `name`, or null.
const Module* find(const char* name);

/// While it was loaded the module `who` asked for the module `what`.
void add_need(int who, int what);

/// Whether it did.
bool has_asked_for(int who, int what);

/// How many modules there are.
int count();
Module& at(int module);

/// After the warm-up: makes the groups.
void form_groups();

/// In a launch, whether its script has the module `module`: it has asked for it, or for one that needs it. In
/// lua it would have been loaded by then.
bool is_given(int module);
void give(int module);

/// None is given any more, and each is to be looked at: the warm-up goes on.
void take_all();

/// Those of the group that have not been given are none of the script's any more, and ask no more for
/// attention.
void give_group(int group);

}  // namespace moonlet::needs
