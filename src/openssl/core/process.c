/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process: options, its one connection, its threads and counters; fork.
 *
 * A fork is noticed by a page that the kernel wipes in the child (MADV_WIPEONFORK), which costs a
 * load to look at: the child then makes a struct process of its own and leaves the parent's, locks
 * and all, as it is.
 */
#include "openssl/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "openssl/core/debug.h"

#define DEFAULT_DEADLINE_MS 1000u
#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 5000u
/* With what we have no connection to ask: a TLS record and what goes with it. */
#define DEFAULT_MAX_SIZE (16384u + 512u)

static struct core_options options;
static atomic_int options_state; /* 0 defaults, 1 being set, 2 set */
static _Atomic(struct process *) current;
static pthread_once_t forks_handled = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static atomic_bool thread_key_made;

/* ---- options ---- */

void core_configure(const struct core_options *wanted)
{
	int none = 0;

	debug_open();
	if (atomic_compare_exchange_strong(&options_state, &none, 1)) {
		options = *wanted;
		options.socket[sizeof(options.socket) - 1] = '\0';
		atomic_store(&options_state, 2);
	} else if (atomic_load(&options_state) == 2 &&
	           (strncmp(options.socket, wanted->socket, sizeof(options.socket)) != 0 ||
	            options.deadline_ms != wanted->deadline_ms ||
	            options.spin_us != wanted->spin_us)) {
		log_warning("vcrypto is configured differently in one process; the first counts");
	}
}

unsigned int process_deadline_ms(void)
{
	unsigned int ms = atomic_load(&options_state) == 2 ? options.deadline_ms : 0;

	return ms ? ms : DEFAULT_DEADLINE_MS;
}

unsigned int process_spin_us(void)
{
	return atomic_load(&options_state) == 2 ? options.spin_us : 0;
}

uint64_t process_probe_ns(void)
{
	return process_deadline_ms() * 250000ull;
}

static int socket_path(char path[108])
{
	if (atomic_load(&options_state) != 2 || !options.socket[0])
		return runtime_path("engined.sock", path, 108);
	memcpy(path, options.socket, 108);
	return 0;
}

/* ---- the process of now ---- */

bool process_is_ours(const struct process *process)
{
	return process->ours ? *(const volatile uint8_t *)process->ours != 0
	                     : process->pid == getpid();
}

static void page_make(struct process *process)
{
	long size = sysconf(_SC_PAGESIZE);
	uint8_t *page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	process->pid = getpid();
	if (page == MAP_FAILED)
		return;
	if (madvise(page, (size_t)size, MADV_WIPEONFORK)) {
		munmap(page, (size_t)size);
		return;
	}
	*page = 1;
	process->ours = page;
}

static void forked(void)
{
	struct process *process = atomic_load(&current);

	if (process && !process_is_ours(process))
		wakers_forked(process);
}

static void handle_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static struct process *process_new(struct process *parent)
{
	struct process *process = calloc(1, sizeof(*process)), *expected = parent;
	struct connection *connection;

	if (!process)
		return NULL;
	pthread_mutex_init(&process->lock, NULL);
	page_make(process);
	process->backoff_ms = BACKOFF_MIN_MS;
	process->parent = parent;
	if (!atomic_compare_exchange_strong(&current, &expected, process)) {
		/* Another thread was faster. */
		if (process->ours)
			munmap((void *)(uintptr_t)process->ours, (size_t)sysconf(_SC_PAGESIZE));
		free(process);
		return expected;
	}
	if (!parent) {
		debug_open();
		(void)pthread_once(&forks_handled, handle_forks);
		return process;
	}
	connection = atomic_load(&parent->connection);
	if (connection)
		connection_abandon(connection);
	return process;
}

struct process *process_get(void)
{
	struct process *process = atomic_load_explicit(&current, memory_order_acquire);

	if (vc_likely(process && process_is_ours(process)))
		return process;
	return process_new(process);
}

/* ---- threads ---- */

static void thread_disconnect(struct thread *thread)
{
	if (!thread->connection)
		return;
	thread->channel->users--;
	connection_unref(thread->connection);
	thread->connection = NULL;
	thread->channel = NULL;
}

static void thread_free(struct thread *thread)
{
	struct process *process = thread->process;

	thread_disconnect(thread);
	if (thread->prev)
		thread->prev->next = thread->next;
	else
		process->threads = thread->next;
	if (thread->next)
		thread->next->prev = thread->prev;
	free(thread);
}

static void thread_end(void *context)
{
	struct thread *thread = context;
	struct process *process = thread->process;

	/* A parent's thread struct in a child is not touched: its process is not ours. */
	if (!process_is_ours(process))
		return;
	pthread_mutex_lock(&process->lock);
	thread_free(thread);
	pthread_mutex_unlock(&process->lock);
}

struct thread *process_thread(struct process *process)
{
	struct thread *thread;

	if (!atomic_load_explicit(&thread_key_made, memory_order_acquire))
		return NULL;
	thread = pthread_getspecific(thread_key);
	return thread && thread->process == process && thread->connection ? thread : NULL;
}

/* Under process->lock. */
static struct thread *thread_make(struct process *process)
{
	struct thread *thread;

	if (!atomic_load(&thread_key_made)) {
		if (pthread_key_create(&thread_key, thread_end))
			return NULL;
		atomic_store(&thread_key_made, true);
	}
	thread = pthread_getspecific(thread_key);
	if (thread && thread->process == process)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread || pthread_setspecific(thread_key, thread)) {
		free(thread);
		return NULL;
	}
	thread->process = process;
	thread->next = process->threads;
	if (thread->next)
		thread->next->prev = thread;
	process->threads = thread;
	return thread;
}

/* The channel that fewest threads use. */
static struct channel *channel_choose(struct connection *connection)
{
	struct channel *best = &connection->channel[0];
	uint32_t i;

	for (i = 1; i < connection->channels && best->users; i++) {
		if (connection->channel[i].users < best->users)
			best = &connection->channel[i];
	}
	channel_use(connection, (uint32_t)(best - connection->channel));
	best->users++;
	return best;
}

/* ---- connecting ---- */

/* Tell the daemon what has been counted without one. */
static void counters_tell(struct process *process, struct connection *connection)
{
	struct vce_client_stats *told = &connection->header->stats;
	unsigned int i;

	for (i = 0; i < VCE_FALLBACK_REASONS; i++)
		told->fallback[i] =
			__atomic_exchange_n(&process->untold.fallback[i], 0, __ATOMIC_RELAXED);
	told->small = __atomic_exchange_n(&process->untold.small, 0, __ATOMIC_RELAXED);
}

unsigned int process_answer_ms(void)
{
	return vc_max(process_deadline_ms() / 2, 1u);
}

/* Under process->lock. */
static int connection_renew(struct process *process)
{
	struct connection *connection = atomic_load(&process->connection);
	char path[108];
	uint64_t now;
	int ret;

	if (connection && !connection_dead(connection))
		return 0;
	if (connection) {
		atomic_store(&process->connection, NULL);
		connection_unref(connection);
	}
	now = clock_now_ns();
	if (now < atomic_load(&process->retry_ns))
		return -ECONNREFUSED;
	/* Who does not answer holds one thread up; the others need not wait for that again. */
	if (process->backoff_ms > BACKOFF_MIN_MS)
		atomic_store(&process->retry_ns, now + process_answer_ms() * 1000000ull);
	ret = socket_path(path);
	if (!ret)
		ret = connection_open(process, path, process_answer_ms(), &connection);
	if (ret) {
		log_debug("%s: %s", path, strerror(-ret));
		atomic_store(&process->retry_ns, clock_now_ns() + process->backoff_ms * 1000000ull);
		process->backoff_ms = vc_min(process->backoff_ms * 2, BACKOFF_MAX_MS);
		return ret;
	}
	log_info("%s: connected, %u channels of %u slots", path, connection->channels,
	         connection->slots);
	process->backoff_ms = BACKOFF_MIN_MS;
	atomic_store(&process->retry_ns, 0);
	breaker_answered(&process->breaker);
	counters_tell(process, connection);
	atomic_store(&process->connection, connection);
	return 0;
}

int process_connect(struct process *process, struct thread **out)
{
	struct thread *thread = process_thread(process);
	int ret;

	if (vc_likely(thread && !connection_dead(thread->connection))) {
		*out = thread;
		return 0;
	}
	pthread_mutex_lock(&process->lock);
	ret = -ENOMEM;
	thread = thread_make(process);
	if (!thread)
		goto out;
	thread_disconnect(thread);
	ret = connection_renew(process);
	if (ret)
		goto out;
	thread->connection = connection_ref(atomic_load(&process->connection));
	thread->channel = channel_choose(thread->connection);
	*out = thread;
out:
	pthread_mutex_unlock(&process->lock);
	return ret;
}

struct connection *process_connection(struct process *process)
{
	struct connection *connection;

	pthread_mutex_lock(&process->lock);
	connection = atomic_load(&process->connection);
	if (connection)
		connection = connection_dead(connection) ? NULL : connection_ref(connection);
	pthread_mutex_unlock(&process->lock);
	return connection;
}

/* ---- counters ---- */

static void count(uint64_t *total, uint64_t *told)
{
	__atomic_fetch_add(total, 1, __ATOMIC_RELAXED);
	if (told)
		__atomic_fetch_add(told, 1, __ATOMIC_RELAXED);
}

static uint64_t *offloaded(struct vce_client_stats *stats, enum vce_class class)
{
	return class < VCE_CLASSES_FIRST ? &stats->offloaded[class]
	                                 : &stats->offloaded_more[class - VCE_CLASSES_FIRST];
}

void process_count_fallback(struct process *process, struct connection *connection,
                            enum vce_fallback reason)
{
	count(&process->total.fallback[reason],
	      connection ? &connection->header->stats.fallback[reason]
	                 : &process->untold.fallback[reason]);
}

void process_count_offload(struct process *process, struct connection *connection,
                           enum vce_class class)
{
	count(offloaded(&process->total, class), offloaded(&connection->header->stats, class));
}

void core_count_small(void)
{
	struct process *process = process_get();
	struct thread *thread;

	if (!process)
		return;
	thread = process_thread(process);
	count(&process->total.small, thread && !connection_dead(thread->connection)
	                                     ? &thread->connection->header->stats.small
	                                     : &process->untold.small);
}

void core_stats(struct vce_client_stats *stats)
{
	struct process *process = process_get();
	const uint64_t *from;
	uint64_t *to = (uint64_t *)(void *)stats;
	size_t i;

	memset(stats, 0, sizeof(*stats));
	if (!process)
		return;
	from = (const uint64_t *)(const void *)&process->total;
	for (i = 0; i < sizeof(*stats) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* ---- looking ---- */

bool core_available(void)
{
	struct process *process = process_get();
	struct thread *thread;

	if (!process)
		return false;
	thread = process_thread(process);
	if (thread && !connection_dead(thread->connection)) {
		if (!breaker_closed(&process->breaker) &&
		    breaker_refuses(&process->breaker, clock_now_ns())) {
			process_count_fallback(process, thread->connection, VCE_FALLBACK_SILENT);
			return false;
		}
		if (vc_likely(!connection_offline(thread->connection)))
			return true;
		/* It may be another daemon's turn by now. */
		if (connection_alive(thread->connection)) {
			process_count_fallback(process, thread->connection, VCE_FALLBACK_DEVICE);
			return false;
		}
	}
	if (clock_now_ns() >= atomic_load_explicit(&process->retry_ns, memory_order_relaxed))
		return true;
	process_count_fallback(process, NULL, VCE_FALLBACK_NO_DAEMON);
	return false;
}

bool core_offers(enum vcrypto_service service, unsigned int algorithm)
{
	struct process *process = process_get();
	const struct vce_region_header *header;
	struct thread *thread;
	uint32_t mask = 0;

	if (!process || algorithm > 31 || process_connect(process, &thread))
		return false;
	if (connection_offline(thread->connection))
		return false;
	header = thread->connection->header;
	switch (service) {
	case VCRYPTO_SERVICE_CIPHER:
		mask = header->cipher_algo_l;
		break;
	case VCRYPTO_SERVICE_HASH:
		mask = header->hash_algo;
		break;
	case VCRYPTO_SERVICE_MAC:
		mask = header->mac_algo_l;
		break;
	case VCRYPTO_SERVICE_AEAD:
		mask = header->aead_algo;
		break;
	case VCRYPTO_SERVICE_AKCIPHER:
		mask = header->akcipher_algo;
		break;
	}
	return header->services >> service & mask >> algorithm & 1;
}

bool core_agrees(enum vcrypto_curve curve)
{
	struct process *process = process_get();
	struct thread *thread;

	return process && !process_connect(process, &thread) &&
	       !connection_offline(thread->connection) &&
	       thread->connection->header->agree_curves >> (unsigned int)curve & 1;
}

size_t core_max_size(void)
{
	struct process *process = process_get();
	struct thread *thread = process ? process_thread(process) : NULL;

	return thread ? thread->connection->buffer_size : DEFAULT_MAX_SIZE;
}

/* ---- end ---- */

/*
 * Other threads may be in the middle of an operation: programs call exit() at any time. What they
 * hold stays; they find the connection dead, and do their work in software.
 */
void core_teardown(void)
{
	struct process *process = atomic_load(&current);
	struct connection *connection;
	struct thread *thread;

	if (!process || !process_is_ours(process))
		return;
	pthread_mutex_lock(&process->lock);
	connection = atomic_exchange(&process->connection, NULL);
	if (connection)
		connection_shut(connection);
	/* Other threads give theirs back when they end, or connect again: we are never unmapped. */
	thread = process_thread(process);
	if (thread)
		thread_disconnect(thread);
	waker_teardown(process);
	pthread_mutex_unlock(&process->lock);
	if (connection)
		connection_unref(connection);
}
