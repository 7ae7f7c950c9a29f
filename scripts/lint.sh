#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formatting, static analysis, scripts and documentation. Usage: lint.sh BUILD-DIRECTORY
# Wants a built tree (compile_commands.json). Runs every step and says at the end which failed.
# For the tools of Debian 12 (clang 14, cppcheck 2.10) and 13 (clang 19, cppcheck 2.17).
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
failed=

step() {
	name=$1
	shift
	printf 'lint: %-14s ' "$name"
	output=$("$@" 2>&1)
	status=$?
	if [ $status = 0 ]; then
		echo ok
	elif [ $status = 77 ]; then
		echo "$output"
	else
		echo FAILED
		printf '%s\n' "$output"
		failed="$failed $name"
	fi
}

# Tracked files, or, in a tree without git, all of them. Arguments: patterns of git's.
files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard -- "$@"
	else
		for pattern in "$@"; do
			find . -path './build*' -prune -o -type f -name "${pattern##*/}" -print
		done
	fi
}

# How clang-format breaks lines differs between its versions: that of Debian 12 decides.
format() {
	if ! clang-format --version | grep -q 'version 14\.'; then
		echo "not checked: the formatting is that of clang-format 14, this is another"
		return 77
	fi
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

# Each source file that is compiled once, two at a time. One file a process: clang-tidy 14 takes
# every va_list for uninitialised in the second file of a process.
tidy() {
	noise=$(mktemp)
	python3 -c '
import json, os, sys
commands = json.load(open(sys.argv[1] + "/compile_commands.json"))
names = {os.path.relpath(os.path.join(c["directory"], c["file"])) for c in commands}
print("\n".join(sorted(n for n in names if not n.startswith(("..", sys.argv[1])))))
' "$build" | xargs -r -P 2 -n 1 clang-tidy -p "$build" --quiet \
		--extra-arg=-Wno-unknown-warning-option \
		--extra-arg-before=-include"$PWD/scripts/lint-errno.h" 2>"$noise"
	status=$?
	grep -Ev 'warnings? (generated|treated as)' "$noise"
	rm -f "$noise"
	return $status
}

# Errors, warnings, portability and performance; style is clang-format's and the reviewer's.
check() {
	cppcheck --quiet --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck --error-exitcode=1 --std=c11 -j 2 \
		-I src -I include -D__x86_64__ \
		'-DIMPLEMENT_DYNAMIC_CHECK_FN()=' '-DIMPLEMENT_DYNAMIC_BIND_FN(bind)=' \
		'-Djson_object_foreach(object,key,value)=while(json_object_next(object,&key,&value))' \
		'-Djson_array_foreach(array,index,value)=while(json_array_next(array,&index,&value))' \
		src include examples tests
}

shell() {
	{
		files '*.sh'
		echo .ci/run
	} | xargs shellcheck
}

python() {
	files '*.py' | while read -r file; do
		python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$file" ||
			exit 1
	done
}

step clang-format format
step shellcheck shell
step python python
step links scripts/check-links.py
step conformance scripts/check-conformance.py
step cppcheck check
step clang-tidy tidy

if [ -n "$failed" ]; then
	echo "lint: failed:$failed"
	exit 1
fi
echo "lint: all ok"
