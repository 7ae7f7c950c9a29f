#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run a command in a clone of HEAD on a freshly made, minimal Debian: what a newcomer would meet.
# Usage: fresh.sh SUITE [COMMAND]...        (SUITE: bookworm, trixie; COMMAND: make lint test)
# As root, with mmdebstrap. It is a chroot with processes and mounts of its own: whatever the
# command starts ends with it. WYCHEPROOF_DIR is there under the same name; of the environment no
# more. FRESH_TAR: a file in which the bare system is kept for the next time.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || {
	sed -n '4s/^# //p' "$0" >&2
	exit 2
}
suite=$1
shift
[ $# -gt 0 ] || set -- make lint test
command -v mmdebstrap >/dev/null || {
	echo "fresh: needs mmdebstrap: apt-get install mmdebstrap" >&2
	exit 77
}
[ "$(id -u)" = 0 ] || {
	echo "fresh: needs root" >&2
	exit 77
}

root=$(mktemp -d /var/tmp/vcrypto-fresh-XXXXXX)
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$root"

# git and make are all that README asks for.
if [ -s "${FRESH_TAR:-}" ]; then
	tar -C "$root" -xf "$FRESH_TAR"
else
	mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make "$suite" "$root"
	[ -z "${FRESH_TAR:-}" ] || tar -C "$root" -cf "$FRESH_TAR" .
fi
cp /etc/resolv.conf "$root/etc/"
git clone --quiet . "$root/root/vcrypto"

# In namespaces of their own: mounts go away with the last process, and that with the first.
# shellcheck disable=SC2016 # for the inner shell
unshare --mount --pid --fork --kill-child sh -euc '
	root=$1
	shift
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/dev/shm"
	mount -t tmpfs tmpfs "$root/run"
	vectors=${WYCHEPROOF_DIR:+WYCHEPROOF_DIR=$WYCHEPROOF_DIR}
	if [ -n "$vectors" ]; then
		mkdir -p "$root$WYCHEPROOF_DIR"
		mount --bind -o ro "$WYCHEPROOF_DIR" "$root$WYCHEPROOF_DIR"
	fi
	# Not exec: this shell also waits for whatever is orphaned.
	chroot "$root" env -i -C /root/vcrypto HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $vectors "$@"
	exit
' sh "$root" "$@"
