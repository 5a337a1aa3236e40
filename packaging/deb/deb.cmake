# cpack -G DEB, in a build directory: moonlet_VERSION-1_ARCHITECTURE.deb.

# A package falls back to an interpreter that Debian has under this very name. "lua" is none: it is an
# alternative, and may be moonlet.
if(NOT MOONLET_FALLBACK_NAME MATCHES "^lua(5\\.[1-5]|jit)$")
  return()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME moonlet)
set(CPACK_PACKAGE_VENDOR "The moonlet authors")
set(MOONLET_DEB_MAINTAINER "The moonlet authors <moonlet@localhost>" CACHE STRING
  "Who answers for the package: to be set by whoever gives it to others")
set(CPACK_PACKAGE_CONTACT ${MOONLET_DEB_MAINTAINER})
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
# What "cmake --install" installs, and what only this package has.
set(CPACK_INSTALL_CMAKE_PROJECTS
  "${CMAKE_BINARY_DIR};moonlet;ALL;/"
  "${CMAKE_BINARY_DIR};moonlet;deb;/")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION interpreters)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Lua scripts that start with their modules loaded")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"moonlet is a drop-in lua that maps an image into its own process: a file that
holds a Lua interpreter with modules of your choice loaded. Arguments,
environment, descriptors, signals, limits and exit status are those of lua.
moonlet --freeze makes an image, and so do the first launch with MOONLET_WARM,
and moonletd, which keeps it fresh.

Where there is none, a script runs through ${MOONLET_FALLBACK_NAME}. The service is
neither enabled nor started when this package is installed.

moonlet-bench tells whether a script gains by it, and moonletctl how a
moonletd is.")
# Libraries: what dpkg-shlibdeps finds. The fallback is a program of its own, named as Debian's package is.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ${MOONLET_FALLBACK_NAME})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_CURRENT_LIST_DIR}/postinst
  ${CMAKE_CURRENT_LIST_DIR}/prerm
  ${CMAKE_CURRENT_LIST_DIR}/postrm
  ${CMAKE_CURRENT_LIST_DIR}/conffiles)

set(packaging ${CMAKE_CURRENT_SOURCE_DIR})
set(examples ${CMAKE_INSTALL_DATADIR}/doc/moonlet/examples)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_SOURCE_DIR}/docs/deployment.md
  ${CMAKE_SOURCE_DIR}/docs/design.md ${CMAKE_SOURCE_DIR}/docs/image.md ${CMAKE_SOURCE_DIR}/docs/lua-api.md
  ${CMAKE_SOURCE_DIR}/docs/protocol.md ${CMAKE_SOURCE_DIR}/docs/security.md ${CMAKE_SOURCE_DIR}/docs/warm.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/moonlet COMPONENT deb EXCLUDE_FROM_ALL)
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog changelog.Debian @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/moonlet COMPONENT deb EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/lintian-overrides RENAME moonlet
  DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides COMPONENT deb EXCLUDE_FROM_ALL)
install(FILES ${packaging}/systemd/system/moonletd.service ${packaging}/systemd/system/moonletd.socket
  DESTINATION lib/systemd/system COMPONENT deb EXCLUDE_FROM_ALL)
install(FILES ${packaging}/systemd/user/moonletd.service ${packaging}/systemd/user/moonletd.socket
  DESTINATION lib/systemd/user COMPONENT deb EXCLUDE_FROM_ALL)
# The warm-up that the service runs: a text that does nothing until it is edited.
install(FILES ${packaging}/moonletd.lua DESTINATION /etc COMPONENT deb EXCLUDE_FROM_ALL)
install(DIRECTORY ${packaging}/s6 ${packaging}/busybox
  DESTINATION ${examples} USE_SOURCE_PERMISSIONS COMPONENT deb EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_SOURCE_DIR}/docs/examples/parallel.lua DESTINATION ${examples} COMPONENT deb EXCLUDE_FROM_ALL)

include(CPack)
