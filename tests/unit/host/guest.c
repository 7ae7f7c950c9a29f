/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of the unit tests; see guest.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

static void rings_place(struct guest *guest, uint16_t size)
{
	uint32_t desc = 0x1000;
	uint32_t avail = desc + size * 16u;
	uint32_t used = avail + 6u + size * 2u;

	used = (used + 3u) & ~3u;
	assert_true(used + 6u + size * 8u <= GUEST_DATA);
	guest->desc = (struct virtq_desc *)(guest->memory + desc);
	guest->avail = (struct virtq_avail *)(guest->memory + avail);
	guest->used = (struct virtq_used *)(guest->memory + used);
	guest->config.desc = GUEST_USER + desc;
	guest->config.avail = GUEST_USER + avail;
	guest->config.used = GUEST_USER + used;
}

void guest_open(struct guest *guest, uint16_t size, uint16_t base, bool event_idx)
{
	struct vhost_user_mem_region region = {
		.guest_addr = GUEST_ADDR, .size = GUEST_MEMORY, .user_addr = GUEST_USER};
	struct memtable *empty = memtable_new();

	memset(guest, 0, sizeof(*guest));
	guest->fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(guest->fd >= 0);
	assert_int_equal(ftruncate(guest->fd, GUEST_MEMORY), 0);
	guest->memory = mmap(NULL, GUEST_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, guest->fd, 0);
	assert_true(guest->memory != MAP_FAILED);
	assert_non_null(empty);
	assert_int_equal(memtable_with(empty, &region, guest->fd, &guest->table), 0);
	memtable_free(empty);

	guest->config.size = size;
	guest->config.base = base;
	guest->config.event_idx = event_idx;
	rings_place(guest, size);
	guest->avail->idx = base;
	guest->used->idx = base;
	guest->avail_idx = guest->used_idx = base;
	guest->free_desc = calloc(size, sizeof(uint16_t));
	assert_non_null(guest->free_desc);
	while (guest->free_count < size) {
		guest->free_desc[guest->free_count] = guest->free_count;
		guest->free_count++;
	}
	guest->data = GUEST_DATA;
	assert_int_equal(vring_setup(&guest->ring, guest->table, &guest->config), 0);
}

void guest_close(struct guest *guest)
{
	memtable_free(guest->table);
	munmap(guest->memory, GUEST_MEMORY);
	close(guest->fd);
	free(guest->free_desc);
}

uint32_t guest_alloc(struct guest *guest, uint32_t size)
{
	uint32_t offset = guest->data;

	assert_true(size <= GUEST_MEMORY - offset);
	guest->data = (offset + size + 15u) & ~15u;
	return offset;
}

void guest_offer(struct guest *guest, uint16_t head)
{
	guest->avail->ring[guest->avail_idx & (guest->config.size - 1)] = head;
	guest->avail_idx++;
	__atomic_store_n(&guest->avail->idx, guest->avail_idx, __ATOMIC_RELEASE);
}

uint16_t guest_chain(struct guest *guest, const struct virtq_desc *descs, unsigned int n)
{
	uint16_t head = 0, next = 0;

	assert_true(n && n <= guest->free_count);
	for (unsigned int i = n; i-- > 0;) {
		head = guest->free_desc[--guest->free_count];
		guest->desc[head] = descs[i];
		if (i < n - 1) {
			guest->desc[head].flags |= VIRTQ_DESC_F_NEXT;
			guest->desc[head].next = next;
		}
		next = head;
	}
	return head;
}

uint16_t guest_indirect(struct guest *guest, const struct virtq_desc *descs, unsigned int n)
{
	uint32_t offset = guest_alloc(guest, n * 16);
	struct virtq_desc *table = (struct virtq_desc *)guest_at(guest, offset);
	struct virtq_desc one = OUT_DESC(offset, n * 16);

	for (unsigned int i = 0; i < n; i++) {
		table[i] = descs[i];
		if (i < n - 1) {
			table[i].flags |= VIRTQ_DESC_F_NEXT;
			table[i].next = (uint16_t)(i + 1);
		}
	}
	one.flags = VIRTQ_DESC_F_INDIRECT;
	return guest_chain(guest, &one, 1);
}

bool guest_used(struct guest *guest, struct virtq_used_elem *elem)
{
	uint16_t index;

	if (__atomic_load_n(&guest->used->idx, __ATOMIC_ACQUIRE) == guest->used_idx)
		return false;
	*elem = guest->used->ring[guest->used_idx & (guest->config.size - 1)];
	guest->used_idx++;
	index = (uint16_t)elem->id;
	guest->free_desc[guest->free_count++] = index;
	while (guest->desc[index].flags & VIRTQ_DESC_F_NEXT) {
		index = guest->desc[index].next;
		guest->free_desc[guest->free_count++] = index;
	}
	return true;
}

uint32_t guest_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)(z ^ z >> 31);
}
