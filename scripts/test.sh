#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build and run the tests. Usage: test.sh [SANITIZER[,SANITIZER]]
# Without one: as built for use, then under AddressSanitizer and UBSan (all tests), then under
# ThreadSanitizer (rings, sessions and what else of the daemons is tested without sockets), then a
# short run of each fuzz target.
# Says the totals at the end; fails when anything failed or nothing ran.
set -eu
cd "$(dirname "$0")/.."

directories=
failed=0
# Simulations of one thread, which ThreadSanitizer makes slow and has nothing to say of.
alone='host-(qos|order_model)'

# Build into a directory of its own and run all tests, or those of the named parts.
run() {
	directory=$1
	sanitizer=$2
	parts=$3
	directories="$directories $directory"
	printf '\n== tests in %s\n' "$directory"
	if [ "$sanitizer" = none ]; then
		scripts/build.sh "$directory" -Dtests=enabled
	else
		# ld's --no-undefined would refuse the sanitizers' own symbols (b_lundef).
		scripts/build.sh "$directory" -Dtests=enabled "-Db_sanitize=$sanitizer" -Db_lundef=false
	fi || {
		failed=1
		return
	}
	rm -f "$directory/meson-logs/testlog.json"
	names=
	if [ -n "$parts" ]; then
		names=$(meson test -C "$directory" --no-rebuild --list 2>/dev/null |
			awk '{print $NF}' | grep -E "^($parts)-" | grep -Evx "$alone") || true
		[ -n "$names" ] || return 0
	fi
	# shellcheck disable=SC2086 # a list of names
	meson test -C "$directory" --no-rebuild --num-processes 2 --print-errorlogs $names \
		</dev/null || failed=1
}

# A short run of each fuzz target; no clang: that is said, and counted as skipped.
fuzz() {
	printf '\n== fuzz targets in build-fuzz\n'
	status=0
	rm -f build-fuzz/meson-logs/testlog.json
	scripts/fuzz.py --only-build || status=$?
	if [ "$status" = 77 ]; then
		directories="$directories --skipped fuzz"
		return
	fi
	# What does not build has no results, and counts as a failure.
	directories="$directories build-fuzz"
	if [ "$status" != 0 ]; then
		failed=1
		return
	fi
	meson test -C build-fuzz --no-rebuild --num-processes 2 --print-errorlogs --suite fuzz \
		</dev/null || failed=1
}

case ${1:-} in
'')
	run build none ''
	run build-address-undefined address,undefined ''
	run build-thread thread 'host|engined'
	fuzz
	;;
thread)
	run build-thread thread 'host|engined'
	;;
*)
	run "build-$(printf %s "$1" | tr , -)" "$1" ''
	;;
esac

printf '\n'
# shellcheck disable=SC2086 # a list of directories
scripts/test-totals.py $directories || failed=1
exit $failed
