# A stand-in for OpenWrt's rules.mk: what the package's Makefile takes from it, for this machine.
# WORK is where everything is built.

INCLUDE_DIR:=$(TOPDIR)/include
STAGING_DIR:=$(WORK)/staging
BUILD_DIR:=$(WORK)/build
CP:=cp -fpR
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
