// What ps(1) and top(1) show of a child: the client's name, arguments and environment.
#pragma once

#include "zygote/request.h"

namespace moonlet::zygote {

/// Names the memory that exec laid out for argv and the environment, of which a child may overwrite the first
/// where the kernel offers nothing better (then what shows is cut to its size). Without an environment the
/// latter is null, and the first argument is all that there is room for.
void set_title_area(char* first_argument, const char* environment_end);

/// Finds out how this kernel lets a process change what shows as its command line.
void prepare_title();

/// Shows this process as the client of `request`, whose strings must live as long as the process. Where the
/// kernel refuses, the zygote's name stays: nothing but ps depends on it.
void set_title(const LaunchRequest& request);

}  // namespace moonlet::zygote
