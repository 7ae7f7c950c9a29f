#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configure, then build. Usage: build.sh DIRECTORY [MESON OPTION]...
# An option is applied once, or when its value changes; those not named stay as they are.
set -eu
cd "$(dirname "$0")/.."
directory=$1
shift
applied=$directory/.options

if [ ! -f "$directory/build.ninja" ]; then
	# Where Debian's linker looks: meson learns it from dpkg-dev only, and takes lib64 otherwise.
	# shellcheck disable=SC2086 # CC may be words
	multiarch=$(${CC:-cc} -print-multiarch 2>/dev/null) || true
	meson setup "$directory" ${multiarch:+"--libdir=lib/$multiarch"} "$@"
	: >"$applied"
else
	for option; do
		grep -qsFx -e "$option" "$applied" || {
			meson configure "$directory" "$@"
			break
		}
	done
fi
for option; do
	{
		grep -sv -e "^${option%%=*}=" "$applied" || true
		printf '%s\n' "$option"
	} >"$applied.new"
	mv "$applied.new" "$applied"
done
ninja -C "$directory"
