// Finding a program or script as a shell would, and what can be told of it without running it.
#pragma once

#include <limits.h>

namespace moonlet::bench {

/// Where the program `name` is: itself if it has a slash, else the first executable file of that name on PATH,
/// written to `path`. False if there is none.
bool find_program(const char* name, char (&path)[PATH_MAX]);

/// Where the script `name` is: a file of that name as lua would find it, else as find_program().
bool find_script(const char* name, char (&path)[PATH_MAX]);

/// Ends this program, and says why, if the file at `path` cannot be a script for lua: another kind of program,
/// or one whose first line asks for another interpreter. Returns the interpreter that the first line asks for,
/// or an empty string.
const char* demand_lua(const char* path);

}  // namespace moonlet::bench
