#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run the tests with virtual machines in a built directory. Usage: test-vm.sh DIRECTORY SUITE
# One after the other: a guest has as many CPUs as a small machine. Suite vm is run with the system's
# QEMU; then what depends on QEMU (suite vm-qemu) with those of VCRYPTO_QEMUS, Debian's releases, by
# default the two that the table in docs/vm.md has. They are unpacked below DIRECTORY/vm.
set -eu
cd "$(dirname "$0")/.."
directory=$1
suite=$2
logs=$directory/meson-logs
files=
failed=0

run() {
	rm -f "$logs/testlog-vm.json"
	meson test -C "$directory" --no-rebuild --setup vm --suite "$1" --num-processes 1 \
		--print-errorlogs </dev/null || failed=1
	[ ! -f "$logs/testlog-vm.json" ] || mv "$logs/testlog-vm.json" "$logs/testlog-$2.json"
	files="$files $logs/testlog-$2.json"
}

printf '\n== QEMU: the system'\''s\n'
run "$suite" vm-system
if [ "$suite" = vm ] && [ -z "${VCRYPTO_QEMU:-}" ]; then
	for release in ${VCRYPTO_QEMUS-bookworm-backports trixie-backports}; do
		printf '\n== QEMU: %s'\''s\n' "$release"
		if VCRYPTO_QEMU=$(VCRYPTO_BUILD=$directory tests/vm/qemu.py "$release"); then
			export VCRYPTO_QEMU
			run vm-qemu "vm-$release"
			unset VCRYPTO_QEMU
		else
			files="$files --skipped QEMU-of-$release"
		fi
	done
fi
printf '\n'
# shellcheck disable=SC2086 # a list of words
scripts/test-totals.py $files || failed=1
exit $failed
