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
	meson setup "$directory" "$@"
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
