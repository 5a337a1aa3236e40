// What a child of moonletd has handed to this program, which it has executed (protocol/handed.h).
#pragma once

namespace moonlet::client {

/// The descriptor of the image, this program's to close; -1 if nothing was handed over. The process is called
/// as it shall be then.
int take_handed();

}  // namespace moonlet::client
