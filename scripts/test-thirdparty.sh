#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run the tests with other people's programs in a built directory, and show what they measured.
# Usage: test-thirdparty.sh DIRECTORY
set -eu
cd "$(dirname "$0")/.."
directory=$1
log=$directory/meson-logs/testlog-thirdparty.json
failed=0

rm -f "$log"
meson test -C "$directory" --no-rebuild --setup thirdparty --suite thirdparty --num-processes 1 \
	--verbose </dev/null || failed=1
printf '\n'
scripts/test-totals.py "$log" || failed=1
exit $failed
