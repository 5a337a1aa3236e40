# A stand-in for OpenWrt's cmake.mk: the same options, with this machine's compiler, or the one that CMAKE_OPTIONS in
# the environment names. Only with that may there be a CMAKE_SYSTEM_PROCESSOR: on those that moonlet knows, the
# client wants musl and nothing else.

define Build/Configure
	cmake -S $(PKG_BUILD_DIR) -B $(PKG_BUILD_DIR) -G Ninja -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_BUILD_TYPE=Release \
		-DCMAKE_CXX_FLAGS_RELEASE=-DNDEBUG -DCMAKE_STRIP=: -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_SKIP_RPATH=TRUE \
		-DCMAKE_FIND_ROOT_PATH=$(STAGING_DIR)/usr -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER \
		-DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
		$(CMAKE_OPTIONS)
endef

define Build/Compile
	cmake --build $(PKG_BUILD_DIR)
	DESTDIR=$(PKG_INSTALL_DIR) cmake --install $(PKG_BUILD_DIR)
endef
