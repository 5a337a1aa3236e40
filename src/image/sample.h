// Which part of a library tells its builds apart: a freeze looks for it, and a launch reads but that.
#pragma once

#include <stdint.h>

namespace moonlet::image {

/// Where in the open file `fd` the kSample bytes (image/answer.h) lie that name its build: those of its build
/// id (ld(1), --build-id). Without one those of its dynamic symbols, whose addresses move with the code;
/// without these the beginning of the file. Bytes from the beginning. What is no ELF file of this machine, is
/// cut short or makes no sense has its beginning.
uint32_t find_sample(int fd);

}  // namespace moonlet::image
