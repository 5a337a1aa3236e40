// The first launch of somebody who runs no moonletd.
#pragma once

namespace moonlet::client {

/// Has moonletctl start the moonletd that $MOONLET_AUTOSTART asks for, in the background: the process that
/// becomes it is nobody's child here, and who waits for a signal or a child of this process meets neither. Says
/// nothing where that fails, because the script runs all the same.
void start_moonletd();

}  // namespace moonlet::client
