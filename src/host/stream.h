/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OUT or IN bytes of a chain as one stream, wherever the driver cut it: the layout of a request
 * is in bytes, not in descriptors (virtio 1.3, 2.7.4.2). Callers have checked lengths against
 * chain->out_len or in_len before they move; all the same, nothing here runs past the end.
 */
#ifndef VC_HOST_STREAM_H
#define VC_HOST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/util.h"
#include "host/vring.h"

struct stream {
	const struct vring_segment *segment;
	uint32_t left;   /* segments, with the current one */
	uint32_t offset; /* in the current one */
};

static inline struct stream stream_out(const struct vring_chain *chain)
{
	return (struct stream){chain->segment, chain->out, 0};
}

static inline struct stream stream_in(const struct vring_chain *chain)
{
	return (struct stream){chain->segment + chain->out, chain->in, 0};
}

/*
 * What was copied out of guest memory stays as it is: without this a compiler that sees where the
 * copy came from may read the guest's memory again instead of the copy.
 */
static inline void stream_settle(void *copy)
{
	__asm__ volatile("" : : "r"(copy) : "memory");
}

/* Leave segments that are used up. */
static inline void stream_normalise(struct stream *s)
{
	while (s->left && s->offset == s->segment->len) {
		s->segment++;
		s->left--;
		s->offset = 0;
	}
}

/* Bytes of the current segment, at most n; moves past them. */
static inline uint8_t *stream_part(struct stream *s, uint32_t *n)
{
	uint8_t *at = s->segment->base + s->offset;

	*n = vc_min(*n, s->segment->len - s->offset);
	s->offset += *n;
	return at;
}

static inline void stream_skip(struct stream *s, uint32_t n)
{
	for (stream_normalise(s); n && s->left; stream_normalise(s)) {
		uint32_t part = n;

		stream_part(s, &part);
		n -= part;
	}
}

/* Copy the next n bytes and move past them. */
static inline void stream_read(struct stream *s, void *to, uint32_t n)
{
	uint8_t *at = to;

	stream_normalise(s);
	/* In one piece, as it nearly always is: with n a constant this is a few moves. */
	if (vc_likely(s->left && n <= s->segment->len - s->offset)) {
		memcpy(to, s->segment->base + s->offset, n);
		s->offset += n;
		return;
	}
	for (; n && s->left; stream_normalise(s)) {
		uint32_t part = n;
		const uint8_t *from = stream_part(s, &part);

		memcpy(at, from, part);
		at += part;
		n -= part;
	}
}

/* Write the next n bytes and move past them. */
static inline void stream_write(struct stream *s, const void *from, uint32_t n)
{
	const uint8_t *at = from;

	for (stream_normalise(s); n && s->left; stream_normalise(s)) {
		uint32_t part = n;
		uint8_t *to = stream_part(s, &part);

		memcpy(to, at, part);
		at += part;
		n -= part;
	}
}

/* The next n (not 0) bytes if they lie in one piece, else NULL; does not move past them. */
static inline uint8_t *stream_contiguous(struct stream *s, uint32_t n)
{
	stream_normalise(s);
	if (vc_unlikely(!s->left))
		return NULL;
	uint8_t *start = s->segment->base + s->offset;
	uint64_t have = s->segment->len - s->offset;

	/* Segments that happen to follow each other in memory are one piece. */
	for (uint32_t i = 1; vc_unlikely(have < n); i++) {
		if (i >= s->left || s->segment[i].base != start + have)
			return NULL;
		have += s->segment[i].len;
	}
	return start;
}

#endif
