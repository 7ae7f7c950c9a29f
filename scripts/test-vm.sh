#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run the tests with virtual machines in a built directory. Usage: test-vm.sh DIRECTORY SUITE
# One after the other: a guest has as many CPUs as a small machine.
set -eu
cd "$(dirname "$0")/.."
directory=$1
suite=$2

rm -f "$directory/meson-logs/testlog-vm.json"
failed=0
meson test -C "$directory" --no-rebuild --setup vm --suite "$suite" --num-processes 1 \
	--print-errorlogs </dev/null || failed=1
printf '\n'
scripts/test-totals.py "$directory/meson-logs/testlog-vm.json" || failed=1
exit $failed
