# SPDX-License-Identifier: Apache-2.0
# A thin front: Meson and Ninja build, scripts/ does the rest. `make help` says what there is.

BUILD ?= build
PREFIX ?=
SANITIZE ?=
PEER ?=
CORE ?=
MESON_FLAGS ?=
SECONDS ?= 60
TARGET ?=
FLAGS = $(if $(PREFIX),--prefix=$(PREFIX)) $(MESON_FLAGS)

.DEFAULT_GOAL := all
.PHONY: all setup demo demo-vm test test-vm test-thirdparty fuzz bench lint install clean help

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

all: ## build everything in $(BUILD)/
	@scripts/setup.sh build
	@scripts/build.sh $(BUILD) $(FLAGS)

setup: ## install what any of the targets needs (Debian 12, 13; as root)
	@scripts/setup.sh build test vm thirdparty fuzz demo bench lint

demo: ## the whole path on real input, in under three minutes
	@scripts/setup.sh build demo
	@scripts/build.sh $(BUILD) $(FLAGS)
	@scripts/demo.py --build $(BUILD)

demo-vm: ## the same in a virtual machine: a guest serves HTTPS, the host signs
	@scripts/setup.sh build demo vm
	@scripts/build.sh $(BUILD) $(FLAGS)
	@scripts/demo_vm.py --build $(BUILD)

test: ## unit and functional tests, plain and sanitized; SANITIZE=address,undefined or thread: one only
	@scripts/setup.sh build test fuzz
	@scripts/test.sh "$(SANITIZE)"

test-vm: ## stock QEMU and real guests, emulated; CORE=1: what .ci/run does of it
	@scripts/setup.sh build test vm
	@scripts/build.sh $(BUILD) -Dtests=enabled $(FLAGS)
	@scripts/test-vm.sh $(BUILD) $(if $(CORE),vm-core,vm)

test-thirdparty: ## haproxy, nginx, stunnel and curl under load and faults; OpenSSL's own evp_test
	@scripts/setup.sh build thirdparty
	@scripts/build.sh $(BUILD) -Dtests=enabled $(FLAGS)
	@scripts/test-thirdparty.sh $(BUILD)

fuzz: ## fuzz each target for SECONDS (60), or only TARGET=name; findings go to $(BUILD)/fuzz
	@scripts/setup.sh build fuzz
	@scripts/fuzz.py --build $(BUILD) --seconds $(SECONDS) $(TARGET)

bench: ## speed next to bare metal (PEER=PROGRAM: and a peer's); also $(BUILD)/bench.json
	@scripts/setup.sh build bench
	@scripts/build.sh $(BUILD) $(FLAGS)
	@scripts/bench.py --build $(BUILD) $(if $(PEER),--peer $(PEER))

lint: ## formatting, static analysis, scripts, links of the documentation
	@scripts/setup.sh build test lint
	@scripts/build.sh $(BUILD) -Dtests=enabled $(FLAGS)
	@scripts/lint.sh $(BUILD)

install: all ## install below PREFIX, /usr/local by default (and the module where OpenSSL looks for it)
	@meson install -C $(BUILD) --no-rebuild
	@[ -n "$$DESTDIR" ] || [ "$$(id -u)" != 0 ] || ldconfig

clean: ## remove every build directory
	@rm -rf build build-*
