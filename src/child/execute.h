// The end of a child of the server: it executes moonlet, which goes on in the image.
#pragma once

#include "child/request.h"

namespace moonlet::child {

/// The directory that moonletd, and so moonlet, is in, open close-on-exec; -1 and errno if it holds no moonlet.
/// Who executes it by this need not be able to reach it.
int open_program_directory();

/// Opens the image, close-on-exec; where there is none something that is no image, so that moonlet becomes lua.
int open_image(const char* path);

/// Whether the kernel would take the request's strings (execve(2), "Limits on size"). To be asked before the
/// client is told that its script starts.
bool can_be_executed(const LaunchRequest& request);

/// A pipe, close-on-exec, in which `title` waits for moonlet, which will be called so; -1 if it is called so
/// without, or there are no more descriptors: then it is not called so.
int open_title(const char* title);

/// Executes moonlet, which gets the descriptors from `first` up (protocol/handed.h). If that fails it says why
/// on the script's standard error, and exits with 125.
[[noreturn]] void execute(int first, const LaunchRequest& request);

}  // namespace moonlet::child
