// What a freeze that was killed has left.
#pragma once

namespace moonlet::server {

/// Removes the files that a freeze writes before it gives them the name of the image at `path`. No freeze of
/// that image may be running.
void remove_leftovers(const char* path);

}  // namespace moonlet::server
