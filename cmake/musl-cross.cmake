# Toolchain of the presets mipsel-musl, mips-musl, aarch64-musl and x86_64-musl: Debian's cross compiler for
# MOONLET_MACHINE, with the musl, the Lua and the kernel's headers that scripts/sysroot has built.

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MOONLET_MACHINE)
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${MOONLET_MACHINE})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # a C++ program would want Debian's libstdc++, which is glibc's
set(CMAKE_C_COMPILER ${MOONLET_MACHINE}-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER ${MOONLET_MACHINE}-linux-gnu-g++)

set(root ${CMAKE_CURRENT_LIST_DIR}/../build/sysroot/${MOONLET_MACHINE})
set(specs ${root}/lib/musl-gcc.specs)
if(NOT EXISTS ${specs})
  message(FATAL_ERROR "scripts/sysroot ${MOONLET_MACHINE} builds what this preset needs first")
endif()
set(MOONLET_MUSL ON)
set(MOONLET_STRIP ON)
set(CMAKE_SKIP_RPATH ON)  # the sysroot is no place on the device
set(MOONLET_LUA_ROOT ${root} CACHE PATH "Tree that holds this Lua")
# What a router's own toolchain does: no unwinding tables, no stack protector, no position independence.
set(flags "-specs=${specs} -fno-pie -fno-stack-protector")
if(MOONLET_MACHINE MATCHES "^mips")
  # The 24K's, and the short instructions that it has: a quarter less. Libraries are called through a linkage
  # table, not through a table of addresses that each function would have to find first: a quarter again.
  string(APPEND flags " -march=24kc -mips16 -mplt -mno-shared")
endif()
if(MOONLET_MACHINE STREQUAL aarch64)
  string(APPEND flags " -mno-outline-atomics") # what chooses among them asks glibc
endif()
set(CMAKE_C_FLAGS_INIT "${flags}")
set(CMAKE_CXX_FLAGS_INIT "${flags}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-no-pie")
