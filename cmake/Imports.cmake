# Gives moonletd on MIPS a start and import stubs of its own (src/zygote/imports.S): a first link shows what it imports,
# and the second one, which makes moonletd, has a stub for each of these.

enable_language(ASM)
# That the stack is not executable. The linker adds an empty segment on MIPS, which scripts/strip-sections turns into this one.
set(stack "stack PT_GNU_STACK FLAGS(6);")
if(MOONLET_STRIP)
  set(stack "")
endif()
configure_file(cmake/moonletd.ld ${CMAKE_BINARY_DIR}/moonletd.ld @ONLY)
set_property(TARGET moonletd APPEND PROPERTY LINK_DEPENDS ${CMAKE_BINARY_DIR}/moonletd.ld)
set(imports ${CMAKE_BINARY_DIR}/imports)

function(moonletd_with_imports target) # and what list-imports is told of another link
  add_custom_command(OUTPUT ${imports}/${target}/imports.inc
    COMMAND ${CMAKE_SOURCE_DIR}/cmake/list-imports ${CMAKE_NM} ${imports}/${target}/imports.inc ${ARGN}
    DEPENDS cmake/list-imports ${ARGV1} VERBATIM)
  add_custom_target(${target}_list DEPENDS ${imports}/${target}/imports.inc)
  add_library(${target}_imports OBJECT src/zygote/imports.S)
  add_dependencies(${target}_imports ${target}_list)
  target_include_directories(${target}_imports PRIVATE ${imports}/${target})
  target_link_libraries(${target} PRIVATE ${target}_imports)
  target_link_options(${target} PRIVATE -nostartfiles -Wl,--spare-dynamic-tags=0
    -Wl,-T,${CMAKE_BINARY_DIR}/moonletd.ld
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/exports.map)
endfunction()

target_sources(moonletd_objects PRIVATE src/zygote/imports.cc)
# A variable that changes, and whose copy the linker would spend 100 bytes on. The C library's header thus declares its address.
target_compile_definitions(moonletd_objects PRIVATE "environ=(*environ_address)")
target_compile_options(moonletd_objects PRIVATE -Wno-parentheses) # there
add_executable(moonletd_importing)
target_link_libraries(moonletd_importing PRIVATE moonletd_objects)
set_target_properties(moonletd_importing PROPERTIES LINKER_LANGUAGE C)
target_link_options(moonletd_importing PRIVATE -Wl,--dependency-file=${imports}/libraries)
moonletd_with_imports(moonletd_importing)
moonletd_with_imports(moonletd $<TARGET_FILE:moonletd_importing> ${imports}/libraries)
