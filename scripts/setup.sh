#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install from the distribution what is missing. Usage: setup.sh PURPOSE...
# Quick and silent when nothing is missing; needs root only when something is.
set -eu

# What clang's sanitizers and libFuzzer are in: named by its version, which is the release's.
clang_runtime() {
	# shellcheck disable=SC1091 # not a file of ours
	case $(. /etc/os-release && echo "${VERSION_ID:-}") in
	12) echo libclang-rt-14-dev ;;
	*) echo libclang-rt-19-dev ;;
	esac
}

# Where the release has it: RSA and ECDSA eight at a time.
crypto_mb() {
	# shellcheck disable=SC1091
	case $(. /etc/os-release && echo "${VERSION_ID:-}") in
	12) ;;
	*) echo libcrypto-mb-dev ;;
	esac
}

packages_of() {
	case $1 in
	build) echo "gcc libc6-dev make meson ninja-build pkgconf scdoc libssl-dev libjansson-dev" \
		"libcyaml-dev libyaml-dev libsystemd-dev libipsec-mb-dev libseccomp-dev libcap-ng-dev $(crypto_mb)" ;;
	# libdpdk-dev: 100 MB, for a resource that is optional; what only builds and runs does without.
	test) echo "libdpdk-dev libcmocka-dev python3 openssl haproxy curl nghttp2-client" ;;
	# The guests' packages are downloaded by the tests, and not installed.
	vm) echo "python3 qemu-system-x86 apt dpkg" ;;
	# perl: OpenSSL's own tests are built from its source package.
	thirdparty) echo "libcmocka-dev python3 openssl haproxy nginx stunnel4 curl perl" ;;
	fuzz) echo "clang llvm python3 $(clang_runtime)" ;;
	demo) echo "python3 openssl haproxy curl nghttp2-client" ;;
	# dpdk-test-crypto-perf, the yardstick; gnuplot draws the drills.
	bench) echo "python3 openssl dpdk-dev gnuplot-nox" ;;
	lint) echo "clang clang-format clang-tidy cppcheck shellcheck python3" ;;
	*)
		echo "setup: unknown purpose '$1': build, test, vm, thirdparty, fuzz, demo, bench or lint" >&2
		exit 2
		;;
	esac
}

say() {
	printf 'setup: %s\n' "$*" >&2
}

[ $# -gt 0 ] || set -- build test vm thirdparty fuzz demo bench lint
wanted=
for purpose in "$@"; do
	list=$(packages_of "$purpose") || exit 2
	wanted="$wanted $list"
done

if ! command -v dpkg-query >/dev/null; then
	say "not a Debian system: taking it that these are installed:$wanted"
	exit 0
fi

# One query for all: what dpkg does not know at all is missing from its answer.
# shellcheck disable=SC2086,SC2016 # a list of words; the format is dpkg's
present=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null |
	sed -n 's/^ii  *//p') || true
missing=
for package in $wanted; do
	case "
$present
$missing" in
	*"
$package
"* | *" $package "*) ;;
	*) missing="$missing $package " ;;
	esac
done
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086,SC2116 # single blanks between the words
missing=$(echo $missing)
say "missing: $missing"
if [ "$(id -u)" != 0 ]; then
	say "run this as root, then again what you did:"
	say "    apt-get install --no-install-recommends $missing"
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}
# A fresh machine has no lists; an old list names versions that are gone.
if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
	apt update
fi
# shellcheck disable=SC2086 # a list of words
if ! apt install -y --no-install-recommends $missing; then
	say "trying again with fresh package lists"
	apt update
	# shellcheck disable=SC2086
	apt install -y --no-install-recommends $missing
fi
say "done"
