/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to the daemon: set-up over the socket, the region, the doorbell, registration of
 * wakers. Any thread. The daemon is trusted; the descriptors are not quite: applications close
 * descriptors that are not theirs, so the socket is known again by its inode, and the doorbell by
 * its mark (descriptor.c), before use.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* What we ask for; the daemon gives at most so much. */
#define WANT_CHANNELS 32
#define WANT_SLOTS 128

static atomic_uint last_id;

/* ---- set-up ---- */

static int wait_readable(int fd, unsigned int timeout_ms)
{
	uint64_t now = clock_now_ns(), end = now + timeout_ms * 1000000ull;
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&poll_fd, 1, (int)((end - now + 999999) / 1000000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		now = clock_now_ns();
	} while (now < end);
	return -ETIMEDOUT;
}

static int hello_send(int socket)
{
	struct vce_hello hello = {
		.header = {VCE_MAGIC, VCE_HELLO},
		.version = VCE_VERSION,
		.channels = WANT_CHANNELS,
		.slots = WANT_SLOTS,
	};
	size_t n = strlen(program_invocation_short_name);
	long sent;

	memcpy(hello.name, program_invocation_short_name, vc_min(n, sizeof(hello.name)));
	sent = unix_send_fds(socket, &hello, sizeof(hello), NULL, 0, MSG_NOSIGNAL);
	return sent < 0 ? (int)sent : 0;
}

/* fds: the region, the doorbell. */
static int welcome_receive(int socket, unsigned int timeout_ms, struct vce_welcome *welcome,
                           int fds[2])
{
	union {
		struct vce_message_header header;
		struct vce_welcome welcome;
		struct vce_refused refused;
	} message;
	unsigned int i, nfds = 2;
	long n;
	int ret;

	ret = wait_readable(socket, timeout_ms);
	if (ret)
		return ret;
	n = unix_recv_fds(socket, &message, sizeof(message), fds, &nfds, 0);
	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	if (n == sizeof(message.welcome) && message.header.magic == VCE_MAGIC &&
	    message.header.type == VCE_WELCOME && message.welcome.version == VCE_VERSION &&
	    nfds == 2) {
		*welcome = message.welcome;
		return 0;
	}
	for (i = 0; i < nfds; i++)
		close(fds[i]);
	if (n == sizeof(message.refused) && message.header.type == VCE_REFUSED) {
		log_debug("refused: %.*s", (int)sizeof(message.refused.text) - 1,
		          message.refused.text);
		return -ECONNREFUSED;
	}
	return -EPROTO;
}

static bool header_plausible(const struct vce_region_header *header, uint64_t size)
{
	uint64_t end = header->buffer_offset +
	               (uint64_t)header->channels * header->slots * header->buffer_stride;

	return header->magic == VCE_MAGIC && header->version == VCE_VERSION &&
	       header->region_size == size && header->channels >= 1 &&
	       header->channels <= VCE_MAX_CHANNELS && header->slots <= VCE_MAX_SLOTS &&
	       vc_is_power_of_two(header->slots) && header->buffer_stride >= header->buffer_size &&
	       end <= size && size <= UINT32_MAX;
}

static int region_map(struct connection *connection, int fd, uint64_t size)
{
	struct vce_region_header *header;

	if (size < sizeof(*header) || size > UINT32_MAX)
		return -EPROTO;
	connection->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (connection->base == MAP_FAILED) {
		connection->base = NULL;
		return -errno;
	}
	connection->size = size;
	(void)madvise(connection->base, size, MADV_DONTDUMP);
	header = (struct vce_region_header *)(void *)connection->base;
	if (!header_plausible(header, size))
		return -EPROTO;
	connection->header = header;
	connection->slots = header->slots;
	connection->buffer_size = header->buffer_size;
	return 0;
}

static int channels_make(struct connection *connection)
{
	uint32_t i, n = connection->header->channels;

	connection->channel = aligned_alloc(VC_CACHE_LINE, n * sizeof(struct channel));
	if (!connection->channel)
		return -ENOMEM;
	memset(connection->channel, 0, n * sizeof(struct channel));
	for (i = 0; i < n; i++) {
		struct channel *channel = &connection->channel[i];

		channel->private = calloc(connection->slots, sizeof(struct slot_private));
		if (!channel->private)
			return -ENOMEM;
		channel_init(channel, connection, i);
		connection->channels++;
	}
	return 0;
}

static int shake_hands(struct connection *connection, const char *path, unsigned int timeout_ms)
{
	struct vce_welcome welcome = {0};
	struct stat st;
	int fds[2], ret;

	ret = unix_connect(path, SOCK_SEQPACKET);
	if (ret < 0)
		return ret;
	ret = descriptor_keep(&connection->socket, ret);
	if (ret)
		return ret;
	if (fstat(connection->socket.fd, &st) < 0)
		return -errno;
	connection->socket_dev = st.st_dev;
	connection->socket_ino = st.st_ino;
	ret = hello_send(connection->socket.fd);
	if (!ret)
		ret = welcome_receive(connection->socket.fd, timeout_ms, &welcome, fds);
	if (ret)
		return ret;
	ret = descriptor_keep(&connection->doorbell, fds[1]);
	if (!ret)
		ret = region_map(connection, fds[0], welcome.region_size);
	close(fds[0]);
	return ret;
}

int connection_open(struct process *process, const char *path, unsigned int timeout_ms,
                    struct connection **out)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int ret;

	if (!connection)
		return -ENOMEM;
	connection->refs = 1;
	connection->process = process;
	connection->socket.fd = -1;
	connection->doorbell.fd = -1;
	pthread_mutex_init(&connection->socket_lock, NULL);
	pthread_mutex_init(&connection->close_lock, NULL);
	/* From 1, so that no key is open on connection 0. */
	connection->id = atomic_fetch_add(&last_id, 1) + 1;
	ret = shake_hands(connection, path, timeout_ms);
	if (!ret)
		ret = channels_make(connection);
	if (ret) {
		connection_unref(connection);
		return ret;
	}
	*out = connection;
	return 0;
}

/* ---- end ---- */

struct connection *connection_ref(struct connection *connection)
{
	atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed);
	return connection;
}

static bool socket_is_ours(const struct connection *connection)
{
	struct stat st;

	return connection->socket.fd >= 0 && fstat(connection->socket.fd, &st) == 0 &&
	       st.st_dev == connection->socket_dev && st.st_ino == connection->socket_ino;
}

void connection_abandon(struct connection *connection)
{
	/*
	 * Only the socket, lest the daemon take the parent for alive after its end. The mapping and
	 * the eventfds stay: jobs that were paused across the fork may still look at them, and a
	 * number that is closed may be another's by now.
	 */
	if (socket_is_ours(connection))
		close(connection->socket.fd);
}

void connection_shut(struct connection *connection)
{
	atomic_store(&connection->dead, true);
	if (socket_is_ours(connection))
		(void)shutdown(connection->socket.fd, SHUT_RDWR);
}

void connection_unref(struct connection *connection)
{
	uint32_t i;

	/* Release and acquire: all uses by others come before the end. */
	if (atomic_fetch_sub_explicit(&connection->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < connection->channels; i++) {
		channel_exit(&connection->channel[i]);
		free(connection->channel[i].private);
	}
	/* One more may have been begun when memory ran out; it was zeroed. */
	free(connection->channel);
	if (connection->base)
		munmap(connection->base, connection->size);
	if (socket_is_ours(connection))
		close(connection->socket.fd);
	descriptor_close(&connection->doorbell);
	pthread_mutex_destroy(&connection->socket_lock);
	pthread_mutex_destroy(&connection->close_lock);
	free(connection->close_list);
	free(connection);
}

bool connection_alive(struct connection *connection)
{
	struct pollfd poll_fd = {.fd = connection->socket.fd, .events = POLLRDHUP};

	if (connection_dead(connection))
		return false;
	if (socket_is_ours(connection) && poll(&poll_fd, 1, 0) >= 0 &&
	    !(poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)))
		return true;
	if (!atomic_exchange(&connection->dead, true)) {
		log_info("vcrypto-engined is gone, or its socket was closed");
		wakers_signal(connection->process);
	}
	return false;
}

/* ---- waking the daemon ---- */

bool connection_ring(struct connection *connection)
{
	uint64_t one = 1;

	/*
	 * Full fence: partner of the daemon's between its store of sleeping and its last look at
	 * the tails. Either we see that it sleeps, or it sees our tail.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (!__atomic_load_n(&connection->header->sleeping, __ATOMIC_RELAXED))
		return false;
	if (!descriptor_is_ours(&connection->doorbell)) {
		atomic_store(&connection->dead, true);
		return false;
	}
	while (write(connection->doorbell.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return true;
}

/* ---- wakers ---- */

static int wakers_exchange(struct connection *connection, const int *fds, unsigned int n)
{
	struct vce_wakers message = {
		.header = {VCE_MAGIC, VCE_WAKERS},
		.first = connection->wakers + 1,
		.count = n,
	};
	struct vce_wakers_taken answer;
	unsigned int nfds = 0;
	long size;
	int ret;

	if (!connection_alive(connection))
		return -EPIPE;
	size = unix_send_fds(connection->socket.fd, &message, sizeof(message), fds, n,
	                     MSG_NOSIGNAL);
	if (size < 0)
		return (int)size;
	ret = wait_readable(connection->socket.fd, process_answer_ms());
	if (ret)
		return ret;
	size = unix_recv_fds(connection->socket.fd, &answer, sizeof(answer), NULL, &nfds, 0);
	if (size != sizeof(answer) || answer.header.type != VCE_WAKERS_TAKEN ||
	    answer.first != message.first || answer.count > n)
		return size < 0 ? (int)size : -EPROTO;
	return (int)answer.count;
}

int connection_wakers(struct connection *connection, const int *fds, unsigned int n,
                      uint32_t *first)
{
	int ret;

	pthread_mutex_lock(&connection->socket_lock);
	*first = connection->wakers + 1;
	ret = wakers_exchange(connection, fds, n);
	if (ret > 0)
		connection->wakers += (unsigned int)ret;
	/* An answer that comes later would be taken for another's. */
	if (ret < 0 && ret != -EPIPE)
		atomic_store(&connection->dead, true);
	pthread_mutex_unlock(&connection->socket_lock);
	return ret;
}

/* ---- sessions to close ---- */

static bool close_submit(struct channel *channel, uint32_t handle)
{
	struct slot_ref ref;
	struct vce_slot *slot;

	if (channel_take(channel, &ref))
		return false;
	slot = slot_of(ref);
	slot->opcode = VCE_OP_SESSION_CLOSE;
	slot->session = handle;
	slot->waker = 0;
	channel_submit(ref, NULL);
	channel_abandon(ref);
	(void)connection_ring(channel->connection);
	return true;
}

/* Without memory the handle stays open until the connection ends: no harm. */
static void close_later(struct connection *connection, uint32_t handle)
{
	unsigned int n, size;
	uint32_t *list;

	pthread_mutex_lock(&connection->close_lock);
	n = atomic_load(&connection->close_count);
	if (n == connection->close_size) {
		size = connection->close_size ? connection->close_size * 2 : 64;
		list = realloc(connection->close_list, size * sizeof(*list));
		if (!list)
			goto out;
		connection->close_list = list;
		connection->close_size = size;
	}
	connection->close_list[n] = handle;
	atomic_store(&connection->close_count, n + 1);
out:
	pthread_mutex_unlock(&connection->close_lock);
}

void connection_close_session(struct connection *connection, struct channel *channel,
                              uint32_t handle)
{
	if (!close_submit(channel, handle))
		close_later(connection, handle);
}

void connection_close_pending(struct connection *connection, struct channel *channel)
{
	uint32_t handle;
	unsigned int n;

	while (atomic_load_explicit(&connection->close_count, memory_order_relaxed)) {
		pthread_mutex_lock(&connection->close_lock);
		n = atomic_load(&connection->close_count);
		handle = n ? connection->close_list[n - 1] : 0;
		if (n)
			atomic_store(&connection->close_count, n - 1);
		pthread_mutex_unlock(&connection->close_lock);
		if (!handle)
			break;
		if (!close_submit(channel, handle)) {
			close_later(connection, handle);
			break;
		}
	}
}

bool connection_late_answers(struct connection *connection)
{
	unsigned int n = 0;
	uint32_t i;

	for (i = 0; i < connection->channels; i++)
		n += channel_late_answers(&connection->channel[i]);
	return n > 0;
}
