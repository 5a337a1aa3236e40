# Which Lua moonletd embeds: MOONLET_LUA names the version, MOONLET_LUA_ROOT a tree to take it from (with
# include/ and lib/, as Lua's own "make install" lays it out); else pkg-config finds it.
# Defines the targets moonlet_lua and moonlet_lua_headers, which is it without the library, and MOONLET_LUA_NAME, _CODE, MOONLET_PROGRAM_NAME, MOONLET_FALLBACK_NAME.

set(MOONLET_LUA 5.4 CACHE STRING "Lua that moonletd embeds: 5.1, 5.2, 5.3, 5.4, 5.5 or luajit")
set(MOONLET_LUA_ROOT "" CACHE PATH "Tree that holds this Lua; empty: ask pkg-config")

if(MOONLET_LUA STREQUAL "luajit")
  set(MOONLET_LUA_NAME LuaJIT)
  set(MOONLET_LUA_CODE 0x10000)
  set(MOONLET_PROGRAM_NAME luajit)
  set(module luajit)
  set(library_names luajit-5.1 luajit)
elseif(MOONLET_LUA MATCHES "^5\\.[1-5]$")
  set(MOONLET_LUA_NAME "Lua ${MOONLET_LUA}")
  string(REPLACE "." "0" MOONLET_LUA_CODE ${MOONLET_LUA})
  set(MOONLET_PROGRAM_NAME lua)
  string(REPLACE "." "" digits ${MOONLET_LUA})
  set(module lua${MOONLET_LUA} lua-${MOONLET_LUA} lua${digits} lua)
  set(library_names lua${MOONLET_LUA} lua-${MOONLET_LUA} lua${digits} lua)
else()
  message(FATAL_ERROR "MOONLET_LUA=${MOONLET_LUA}: 5.1, 5.2, 5.3, 5.4, 5.5 or luajit is what can be embedded")
endif()

add_library(moonlet_lua_headers INTERFACE)
add_library(moonlet_lua INTERFACE)
target_link_libraries(moonlet_lua INTERFACE moonlet_lua_headers)
set(is_shared ON)
if(MOONLET_LUA_ROOT)
  find_path(MOONLET_LUA_INCLUDE lua.h PATHS ${MOONLET_LUA_ROOT} NO_DEFAULT_PATH REQUIRED
    PATH_SUFFIXES include include/lua${MOONLET_LUA} include/luajit-2.1)
  find_library(MOONLET_LUA_LIBRARY NAMES ${library_names} PATHS ${MOONLET_LUA_ROOT} NO_DEFAULT_PATH REQUIRED
    PATH_SUFFIXES lib lib64)
  target_include_directories(moonlet_lua_headers SYSTEM INTERFACE ${MOONLET_LUA_INCLUDE})
  target_link_libraries(moonlet_lua INTERFACE ${MOONLET_LUA_LIBRARY} m)
  if(MOONLET_LUA_LIBRARY MATCHES "\\.a$")
    set(is_shared OFF)
    # C modules look for Lua's functions in the program, as in a lua that is linked in this way.
    target_link_options(moonlet_lua INTERFACE -Wl,--whole-archive ${MOONLET_LUA_LIBRARY} -Wl,--no-whole-archive
      -rdynamic)
  endif()
  set(default_fallback ${MOONLET_PROGRAM_NAME})
  # Another version may be the first in PATH. A tree for other machines lies elsewhere there.
  if(EXISTS ${MOONLET_LUA_ROOT}/bin/${MOONLET_PROGRAM_NAME} AND NOT CMAKE_CROSSCOMPILING AND NOT MOONLET_MUSL)
    set(default_fallback ${MOONLET_LUA_ROOT}/bin/${MOONLET_PROGRAM_NAME})
  endif()
else()
  find_package(PkgConfig REQUIRED)
  pkg_search_module(LUA REQUIRED IMPORTED_TARGET ${module})
  target_link_libraries(moonlet_lua INTERFACE PkgConfig::LUA)
  target_include_directories(moonlet_lua_headers SYSTEM INTERFACE
    $<TARGET_PROPERTY:PkgConfig::LUA,INTERFACE_INCLUDE_DIRECTORIES>)
  # Debian's names; a system without versions in them has the plain one.
  set(default_fallback ${module})
  list(GET default_fallback 0 default_fallback)
  find_program(found_${default_fallback} ${default_fallback})
  if(NOT found_${default_fallback})
    set(default_fallback ${MOONLET_PROGRAM_NAME})
  endif()
endif()
if(is_shared)
  target_compile_definitions(moonlet_lua INTERFACE MOONLET_LUA_IS_SHARED)
endif()
if(MOONLET_LUA STREQUAL "luajit")
  target_compile_definitions(moonlet_lua_headers INTERFACE MOONLET_LUAJIT)
  # Its errors unwind the C stack, and so need what the other versions can do without.
  target_compile_options(moonlet_lua_headers INTERFACE -funwind-tables)
endif()
# Looked for each time, so that an interpreter that is installed later is found.
set(MOONLET_FALLBACK_NAME "" CACHE STRING "Interpreter that moonlet falls back to; empty: that of this Lua")
if(MOONLET_FALLBACK_NAME STREQUAL "")
  set(MOONLET_FALLBACK_NAME ${default_fallback})
endif()
