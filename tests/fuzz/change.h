/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory that its other owner writes to while we look, in one thread and always the same way
 * for the same input.
 *
 * The sources under test are compiled so that the compiler calls us before each load
 * (-fsanitize-coverage=trace-loads). The input has a list of changes: each is made at the n-th load
 * from then on, either to a byte anywhere in the memory, or to what the last load but one from that
 * memory has just read, which is what finds a field that is read twice.
 */
#ifndef VC_FUZZ_CHANGE_H
#define VC_FUZZ_CHANGE_H

#include "input.h"

#define CHANGE_PIECES 24
#define CHANGES_MAX 8

/* The pieces of memory that the other side can write to. */
void change_memory(uint8_t *base, size_t size);
/* It is about to go: forget all pieces. */
void change_forget(void);

/* From the input: a number of changes, and each of them. They begin now. */
void changes_begin(struct input *in);
/* No more changes; the memory is forgotten. */
void changes_end(void);

/* In a list: after how many loads; of which kind; where, and what is XORed to it. */
#define CHANGE_SIZE 5

#endif
