# Gives programs on MIPS a start and import stubs of their own (src/server/imports.S): a first link shows what a program
# imports, and the second one, which makes it, has a stub for each of these.

enable_language(ASM)
# That the stack is not executable. The linker adds an empty segment on MIPS, which scripts/strip-sections turns into this one.
set(stack "stack PT_GNU_STACK FLAGS(6);")
if(MOONLET_STRIP)
  set(stack "")
endif()
set(imports ${CMAKE_BINARY_DIR}/imports)

function(link_with_imports target script) # and what list-imports is told of another link
  set(program "")
  if(ARGC GREATER 2)
    set(program ${ARGV2})
  endif()
  add_custom_command(OUTPUT ${imports}/${target}/imports.inc
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/list-imports ${CMAKE_NM} ${imports}/${target}/imports.inc ${ARGN}
    DEPENDS cmake/list-imports ${program} ${ARGV4} VERBATIM)
  add_custom_target(${target}_list DEPENDS ${imports}/${target}/imports.inc)
  add_library(${target}_imports OBJECT src/server/imports.S)
  add_dependencies(${target}_imports ${target}_list)
  target_include_directories(${target}_imports PRIVATE ${imports}/${target})
  target_link_libraries(${target} PRIVATE ${target}_imports)
  target_link_options(${target} PRIVATE -nostartfiles -Wl,--spare-dynamic-tags=0
    -Wl,-T,${script} -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/exports.map)
endfunction()

# TARGET, linked of OBJECTS, at ADDRESS; and a list of what it has hooked (src/freeze/hooks.h), if anything.
function(import_by_hash target objects address)
  set(script ${CMAKE_BINARY_DIR}/${target}.ld)
  configure_file(cmake/moonletd.ld ${script} @ONLY)
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${script})
  target_sources(${objects} PRIVATE src/server/imports.cc)
  add_executable(${target}_importing)
  target_link_libraries(${target}_importing PRIVATE ${objects})
  set_target_properties(${target}_importing PROPERTIES LINKER_LANGUAGE C)
  target_link_options(${target}_importing PRIVATE -Wl,--dependency-file=${imports}/${target}_libraries)
  link_with_imports(${target}_importing ${script})
  link_with_imports(${target} ${script} $<TARGET_FILE:${target}_importing> ${imports}/${target}_libraries ${ARGN})
  if(ARGN)
    foreach(hooking ${target} ${target}_importing)
      target_compile_definitions(${hooking}_imports PRIVATE MOONLET_HOOKS)
      add_dependencies(${hooking}_list interposed_names)
    endforeach()
  endif()
endfunction()

# What moonlet-lua has in front of libc's functions, as cmake/list-imports reads it.
separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS}")
set(parts "")
foreach(part QUESTIONS PLAIN_EXIT)
  if(MOONLET_${part})
    list(APPEND parts -DMOONLET_${part})
  endif()
endforeach()
add_custom_command(OUTPUT ${imports}/interposed
  COMMAND ${CMAKE_CXX_COMPILER} ${flags} -E -P -x c++ -DMOONLET_HOOKS ${parts} "-DFUNCTION(name,call,reads)=interpose name;"
    -o ${imports}/interposed ${CMAKE_SOURCE_DIR}/src/freeze/interposed_list.h
  DEPENDS src/freeze/interposed_list.h VERBATIM)
add_custom_target(interposed_names DEPENDS ${imports}/interposed)

foreach(objects moonlet_lua_objects moonlet-lua_objects moonletd_objects)
  # A variable that changes, and whose copy the linker would spend 100 bytes on. The C library's header thus declares its address.
  target_compile_definitions(${objects} PRIVATE "environ=(*environ_address)")
  target_compile_options(${objects} PRIVATE -Wno-parentheses) # there
endforeach()
target_compile_definitions(moonlet-lua_objects PRIVATE _fini=empty_fini) # no start files bring one
import_by_hash(moonletd moonletd_objects 0x400000)
# Where images lie (src/image/window.h).
target_compile_definitions(moonlet-lua_objects PRIVATE MOONLET_HOOKS)
import_by_hash(moonlet-lua moonlet-lua_objects 0x10000000 ${imports}/interposed)
