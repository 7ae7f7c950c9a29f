#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Configure once, then build. Usage: build.sh DIRECTORY [MESON OPTION]...
set -eu
cd "$(dirname "$0")/.."
directory=$1
shift
if [ ! -f "$directory/build.ninja" ]; then
	meson setup "$directory" "$@"
fi
ninja -C "$directory"
