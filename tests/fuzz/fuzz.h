/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share. A target is one program: LLVMFuzzerTestOneInput(), and fuzz_seeds(),
 * which writes the corpus to begin with. It has to behave the same way for the same input, however
 * many inputs came before: whatever it keeps between inputs must not change.
 *
 * `fuzz-TARGET --make-seeds=DIRECTORY` writes the seeds and ends. $FUZZ_LOG_LEVEL lets the log say
 * more than errors: good for one input.
 */
#ifndef VC_FUZZ_FUZZ_H
#define VC_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls these. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target's: call seed_save() for each. */
void fuzz_seeds(void);
void seed_save(const char *name, const void *data, size_t size);

/* An input that is being put together. */
struct seed {
	size_t size;
	uint8_t bytes[16384];
};

void seed_bytes(struct seed *seed, const void *bytes, size_t n);
void seed_u8(struct seed *seed, unsigned int value);
void seed_u16(struct seed *seed, unsigned int value);
void seed_u32(struct seed *seed, uint32_t value);

/* What must hold whatever the input is. */
#define fuzz_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Read and write every byte, as somebody who was told that they are his. */
void fuzz_touch_read(const void *bytes, size_t n);
void fuzz_touch_write(void *bytes, size_t n);

#endif
