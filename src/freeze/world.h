// Questions that are not about files: variables, terminals, the user and what else stands around a process.
#pragma once

#include "freeze/asks.h"
#include "freeze/log.h"

namespace moonlet::freeze::questions {

/// Records one of the kinds that a number at most stands for.
void ask_world(Log* log, image::Asked asked, uint32_t aux = 0);

/// Records what a call from kWhere to kLimit asks; of kLimit about resource `number`.
void ask_fact(Log* log, Asks asks, unsigned long number = 0);

/// A variable, as the process was started with it. `name` ends with a zero.
void ask_variable(Log* log, const char* name);

/// All variables that begin with `beginning`.
void ask_variables(Log* log, const char* beginning);

/// All variables, but those that differ in each process (`_`), and moonlet's own.
void ask_environment(Log* log);

}  // namespace moonlet::freeze::questions
