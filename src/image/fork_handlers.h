// What libraries have registered with pthread_atfork(3): a freeze and a thaw are to them what a fork is.
#pragma once

namespace moonlet::image {

/// These two are being registered, each of which may be null.
void note_fork_handlers(void (*prepare)(), void (*child)());

/// Whether there was room to note them all. Else there must be no image.
bool all_fork_handlers_are_known();

/// Before the pages are read: the handlers of the parent before a fork, the last registered one first.
void call_prepare_handlers();

/// In a thaw: the handlers of the child, in the order in which they were registered.
void call_child_handlers();

}  // namespace moonlet::image
