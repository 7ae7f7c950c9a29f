/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every part needs.
 */
#ifndef VC_BASE_UTIL_H
#define VC_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VC_CACHE_LINE 64
#define vc_cache_aligned _Alignas(VC_CACHE_LINE)
#define vc_likely(x) __builtin_expect(!!(x), 1)
#define vc_unlikely(x) __builtin_expect(!!(x), 0)
#define vc_array_size(a) (sizeof(a) / sizeof((a)[0]))
#define vc_min(a, b) ((a) < (b) ? (a) : (b))
#define vc_max(a, b) ((a) > (b) ? (a) : (b))

static inline size_t vc_round_up(size_t value, size_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool vc_is_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

/* Monotonic time in nanoseconds. Any thread. */
uint64_t clock_now_ns(void);
/* Time stamp counter, and how many ticks of it a microsecond has (measured once). */
static inline uint64_t clock_ticks(void)
{
	return __builtin_ia32_rdtsc();
}
uint64_t clock_ticks_per_us(void);

static inline void cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* Get a cache line that we are going to write away from whoever has it, in good time: stores retire
 * in order, and would wait for one line after the other. Any address will do. */
static inline void prefetch_write(const void *p)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
}

/* Pin the calling thread to one CPU; name it (15 characters at most). 0 or -errno. */
int thread_pin(int cpu);
void thread_name(const char *name);

/* asprintf that never gives garbage: a new string, or NULL without memory. */
char *str_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Where sockets go: $VCRYPTO_RUNTIME_DIR or /run/vcrypto. runtime_path joins; -ENAMETOOLONG. */
const char *runtime_dir(void);
int runtime_path(const char *name, char *path, size_t size);
/* Make the runtime directory (0755) if it is not there. 0 or -errno. */
int runtime_dir_make(void);

/* Place of a device on the PCI bus: "0000:00:04.0" or "00:04.0", written in full. -EINVAL: it is
 * neither. */
#define PCI_ADDRESS_SIZE 16
int pci_address_parse(const char *text, char address[PCI_ADDRESS_SIZE]);

/* Map shared memory at a random place that even a small IOMMU's device can be let reach by the same
 * address, if there is one. MAP_FAILED with errno. */
void *map_reachable(size_t size, int fd);

/* UNIX sockets. A descriptor (close-on-exec, non-blocking) or -errno. unix_listen replaces a stale
 * socket of a dead process; a live one is -EADDRINUSE. type is SOCK_STREAM or SOCK_SEQPACKET. It
 * changes the umask for a moment: no other thread may make files then. */
int unix_listen(const char *path, int type, unsigned int mode, int backlog);
int unix_connect(const char *path, int type);

/* Send one message with descriptors; receive one with up to *nfds (out: how many came; close-on-
 * exec). Bytes or -errno; received descriptors are closed when it fails. */
long unix_send_fds(int socket, const void *data, size_t size, const int *fds, unsigned int nfds,
                   int flags);
long unix_recv_fds(int socket, void *data, size_t size, int *fds, unsigned int *nfds, int flags);

/* eventfd helpers: both ignore EAGAIN. */
int event_create(void); /* non-blocking, close-on-exec; descriptor or -errno */
void event_signal(int fd);
bool event_clear(int fd); /* true if it was signalled */

#endif
