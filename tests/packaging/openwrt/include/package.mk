# A stand-in for OpenWrt's package.mk. "make packages" builds, and installs each package below WORK/packages;
# "make describe" prints what each one says of itself.

PKG_BUILD_DIR:=$(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)
PKG_INSTALL_DIR:=$(PKG_BUILD_DIR)/ipkg-install

.PHONY: build packages describe
build:
	mkdir -p $(PKG_BUILD_DIR)
	$(call Build/Prepare)
	$(call Build/Configure)
	$(call Build/Compile)

define BuildPackage
  TITLE:=
  DEPENDS:=
  $(Package/$(1))
  description/$(1):=$$(TITLE)|$$(DEPENDS)|$$(SECTION)|$$(CATEGORY)
  .PHONY: install/$(1) describe/$(1)
  packages: install/$(1)
  describe: describe/$(1)
  install/$(1): build
	$$(call Package/$(1)/install,$(WORK)/packages/$(1))
  describe/$(1):
	@echo '$(1)|$(PKG_VERSION)|$$(description/$(1))|$$(strip $$(Package/$(1)/conffiles))'
endef
