/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the static analyser only (scripts/lint.sh puts it in front of every file): tells it that
 * errno is above 0 where it is read, with the values that code tells apart. It cannot know that a
 * failed call has set it, and takes every `return -errno` for a possible success otherwise.
 */
#ifndef VC_LINT_ERRNO_H
#define VC_LINT_ERRNO_H

#include <errno.h>

int lint_choice(void);

static inline int *lint_errno(void)
{
	static _Thread_local int value;

	switch (lint_choice()) {
	case 0:
		value = EINTR;
		break;
	case 1:
		value = EAGAIN;
		break;
	default:
		value = EIO;
		break;
	}
	return &value;
}

#undef errno
#define errno (*lint_errno())

#endif
