// mmap(2) and madvise(2), with the flags that older headers lack.
#pragma once

#include <sys/mman.h>

#ifndef MADV_FREE
#define MADV_FREE 8  // Linux 4.5
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18  // Linux 4.14
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000  // Linux 4.17
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08  // Linux 6.11
#endif
