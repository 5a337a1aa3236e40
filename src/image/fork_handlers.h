// What libraries have registered with pthread_atfork(3): a freeze and a thaw are to them what a fork is.
#pragma once

namespace moonlet::image {

/// Before the pages are read: the handlers of the parent before a fork, the last registered one first.
void call_prepare_handlers();

/// In a thaw: the handlers of the child, in the order in which they were registered.
void call_child_handlers();

}  // namespace moonlet::image
