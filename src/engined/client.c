/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients: connections, HELLO, wakers, death. Runs in the daemon's one thread; trusts nothing that
 * comes over a socket. Each message is one packet, so there is nothing to assemble and nothing to
 * wait for.
 *
 * A client ends when its socket hangs up, when its process ends (a descriptor of the process is
 * watched too: a forked child may hold the socket open), or when it breaks a rule. Its memory goes
 * once nothing in flight points into it.
 */
#include "engined/engined.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define HELLO_TIMEOUT_MS 2000
#define LISTEN_BACKLOG 128

union message {
	struct vce_message_header header;
	struct vce_hello hello;
	struct vce_wakers wakers;
	uint8_t room[256];
};

/* ---- end ---- */

void client_break(struct client *client, const char *reason)
{
	struct engined *e = client->engined;

	if (client->state == CLIENT_DYING)
		return;
	if (reason)
		log_info("client %d (%s, user %u): %s", client->pid, client->name, client->uid,
		         reason);
	client->state = CLIENT_DYING;
	e->dying++;
	evloop_remove(client->watch);
	evloop_remove(client->pid_watch);
	evloop_remove(client->hello_timer);
	evloop_remove(client->doorbell_watch);
	client->watch = NULL;
	client->pid_watch = NULL;
	client->hello_timer = NULL;
	client->doorbell_watch = NULL;
	close(client->socket);
	client->socket = -1;
}

static void client_free(struct client *client)
{
	struct engined *e = client->engined;
	struct client_counters counters;
	unsigned int i;
	int ret;

	if (client->region.base) {
		client_counters_get(client, &counters);
		client_counters_add(&e->past, &counters);
	}
	look_never(client);
	session_drop_client(client);
	if (client->registered && e->device.handle) {
		ret = vcrypto_memory_unregister(e->device.handle, client->region.base);
		if (ret)
			device_fail(e, "it does not give memory back");
	}
	region_destroy(&client->region);
	wake_flush(e->wake);
	for (i = 0; i < client->wakers_count; i++)
		close(client->wakers[i]);
	e->wakers_total -= client->wakers_count;
	if (client->doorbell >= 0)
		close(client->doorbell);
	if (client->pidfd >= 0)
		close(client->pidfd);

	if (client->prev)
		client->prev->next = client->next;
	else
		e->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	e->clients_count--;
	e->dying--;
	free(client->wakers);
	free(client->channels);
	free(client);
}

void client_reap(struct engined *e)
{
	struct client *client, *next;

	for (client = e->clients; client; client = next) {
		next = client->next;
		if (client->state == CLIENT_DYING && !client->in_flight)
			client_free(client);
	}
}

void client_drop_all(struct engined *e)
{
	struct client *client;

	for (client = e->clients; client; client = client->next)
		client_break(client, NULL);
	client_reap(e);
}

/* ---- counters ---- */

void client_counters_get(const struct client *client, struct client_counters *counters)
{
	*counters = client->counters;
	if (client->region.base)
		counters->word = region_header(&client->region)->stats;
}

void client_counters_add(struct client_counters *sum, const struct client_counters *more)
{
	unsigned int i;

	sum->requests += more->requests;
	sum->bytes += more->bytes;
	sum->errors += more->errors;
	for (i = 0; i < VCE_CLASSES_FIRST; i++)
		sum->word.offloaded[i] += more->word.offloaded[i];
	for (i = 0; i < VCE_CLASSES - VCE_CLASSES_FIRST; i++)
		sum->word.offloaded_more[i] += more->word.offloaded_more[i];
	for (i = 0; i < VCE_FALLBACK_REASONS; i++)
		sum->word.fallback[i] += more->word.fallback[i];
	sum->word.small += more->word.small;
}

/* ---- messages ---- */

static int client_send(struct client *client, const void *message, size_t size, const int *fds,
                       unsigned int nfds)
{
	long sent = unix_send_fds(client->socket, message, size, fds, nfds, MSG_NOSIGNAL);

	return sent < 0 ? (int)sent : 0;
}

static void client_refuse(struct client *client, int error, const char *text)
{
	struct vce_refused refused = {
		.header = {VCE_MAGIC, VCE_REFUSED},
		.error = error,
	};

	snprintf(refused.text, sizeof(refused.text), "%s", text);
	(void)client_send(client, &refused, sizeof(refused), NULL, 0);
	client_break(client, text);
}

int client_register(struct client *client)
{
	struct engined *e = client->engined;
	int ret;

	client->registered = false;
	if (!e->device.handle || e->device.failed)
		return -EPIPE;
	ret = vcrypto_memory_register(e->device.handle, client->region.base,
	                              client->region.layout.size, client->region.fd, 0);
	if (ret == -EPIPE || ret == -ETIMEDOUT)
		device_fail(e, "it does not take memory");
	else if (ret)
		log_warning("client %d (%s): the device does not take its memory: %s", client->pid,
		            client->name, strerror(-ret));
	client->registered = !ret;
	client->copied = !ret && vcrypto_memory_copied(e->device.handle, client->region.base);
	return ret;
}

static void doorbell(void *context, int fd, uint32_t events)
{
	/*
	 * To end the sleep, and to say where to look. Edge-triggered and never read: its flags are
	 * the client's too, and a read might block.
	 */
	look_soon(context);
}

static int client_make_region(struct client *client, const struct vce_hello *hello)
{
	struct engined *e = client->engined;
	const struct engined_config *config = &e->config;
	struct region_layout layout;
	uint32_t slots = 2, channels;
	unsigned int i;
	int ret;

	while (slots < hello->slots && slots < config->limits.slots)
		slots *= 2;
	channels = vc_max(1u, vc_min(hello->channels, config->limits.channels));
	ret = region_layout_init(&layout, channels, slots, REGION_BUFFER_SIZE);
	if (!ret)
		ret = region_create(&client->region, &layout);
	if (ret)
		return ret;
	client->channels = calloc(channels, sizeof(struct channel));
	if (!client->channels)
		return -ENOMEM;
	for (i = 0; i < channels; i++)
		channel_init(&client->channels[i], &client->region, i);
	client->doorbell = event_create();
	if (client->doorbell < 0)
		return client->doorbell;
	return evloop_add(e->loop, client->doorbell, EPOLLIN | EPOLLET, doorbell, client,
	                  &client->doorbell_watch);
}

static void handle_hello(struct client *client, const struct vce_hello *hello)
{
	struct engined *e = client->engined;
	struct vce_welcome welcome = {
		.header = {VCE_MAGIC, VCE_WELCOME},
		.version = VCE_VERSION,
	};
	unsigned int i;
	int ret, fds[2];

	if (hello->version < VCE_VERSION) {
		client_refuse(client, EPROTONOSUPPORT, "this version of the protocol is gone");
		return;
	}
	/* The name goes into logs and terminals. */
	for (i = 0; i < sizeof(hello->name) && hello->name[i]; i++)
		client->name[i] = isprint((unsigned char)hello->name[i]) ? hello->name[i] : '?';
	client->name[i] = '\0';

	ret = client_make_region(client, hello);
	if (ret) {
		client_refuse(client, -ret, "no memory for another client");
		return;
	}
	client->queue = e->device.queues ? (unsigned int)(e->clients_ever % e->device.queues) : 0;
	ret = client_register(client);
	if (ret == -ENOSPC) {
		client_refuse(client, ENOSPC, "the device takes no more clients");
		return;
	}
	client->state = CLIENT_LIVE;
	look_soon(client);
	e->clients_ever++;
	evloop_remove(client->hello_timer);
	client->hello_timer = NULL;
	device_announce(e, client);

	welcome.region_size = client->region.layout.size;
	fds[0] = client->region.fd;
	fds[1] = client->doorbell;
	if (client_send(client, &welcome, sizeof(welcome), fds, 2))
		client_break(client, "it does not listen");
	else
		log_debug("client %d (%s, user %u): %u channels of %u slots", client->pid,
		          client->name, client->uid, client->region.layout.channels,
		          client->region.layout.slots);
}

/* Keep the descriptors that are good, from the front; the caller closes the rest. */
static unsigned int wakers_take(struct client *client, const int *fds, unsigned int n)
{
	struct engined *e = client->engined;
	unsigned int taken = 0, max = e->config.limits.wakers;
	unsigned int left = e->wakers_max - e->wakers_total;
	int *wakers;

	if (!client->trusted && !wake_strangers(e->wake))
		return 0;
	wakers = realloc(client->wakers, (client->wakers_count + n) * sizeof(*wakers));
	if (!wakers)
		return 0;
	client->wakers = wakers;
	n = vc_min(n, left);
	while (taken < n && client->wakers_count < max && wake_is_eventfd(fds[taken]))
		wakers[client->wakers_count++] = fds[taken++];
	e->wakers_total += taken;
	return taken;
}

static void handle_wakers(struct client *client, const struct vce_wakers *message, int *fds,
                          unsigned int *nfds)
{
	struct vce_wakers_taken answer = {
		.header = {VCE_MAGIC, VCE_WAKERS_TAKEN},
		.first = client->wakers_count + 1,
	};
	unsigned int i;

	if (!*nfds || message->count != *nfds || message->first != client->wakers_count + 1) {
		client_break(client, "its wakers are not what it says");
		return;
	}
	answer.count = wakers_take(client, fds, *nfds);
	for (i = answer.count; i < *nfds; i++)
		close(fds[i]);
	*nfds = 0;
	if (client_send(client, &answer, sizeof(answer), NULL, 0))
		client_break(client, "it does not listen");
}

static void client_message(struct client *client, const union message *message, size_t size,
                           int *fds, unsigned int *nfds)
{
	if (size < sizeof(message->header) || message->header.magic != VCE_MAGIC)
		client_break(client, "not the engine protocol");
	else if (client->state == CLIENT_NEW && message->header.type == VCE_HELLO &&
	         size == sizeof(message->hello) && !*nfds)
		handle_hello(client, &message->hello);
	else if (client->state == CLIENT_LIVE && message->header.type == VCE_WAKERS &&
	         size == sizeof(message->wakers))
		handle_wakers(client, &message->wakers, fds, nfds);
	else
		client_break(client, "a message that is not for now");
}

static void client_event(void *context, int fd, uint32_t events)
{
	struct client *client = context;
	union message message;
	int fds[VCE_WAKERS_MAX_MESSAGE];
	unsigned int i, nfds = VCE_WAKERS_MAX_MESSAGE;
	long n;

	n = unix_recv_fds(fd, &message, sizeof(message), fds, &nfds, 0);
	if (n == -EAGAIN)
		return;
	if (n > 0)
		client_message(client, &message, (size_t)n, fds, &nfds);
	else if (n == 0 || n == -ECONNRESET)
		client_break(client, NULL);
	else
		client_break(client, "a message that is no message");
	/* What nobody has kept; on failure none came. */
	for (i = 0; i < nfds; i++)
		close(fds[i]);
}

static void client_process_ended(void *context, int fd, uint32_t events)
{
	client_break(context, NULL);
}

static void client_silent(void *context)
{
	client_break(context, "it did not say HELLO");
}

/* ---- beginning ---- */

static int client_watch(struct client *client)
{
	struct engined *e = client->engined;
	int ret;

	ret = evloop_add(e->loop, client->socket, EPOLLIN, client_event, client, &client->watch);
	if (ret)
		return ret;
	ret = evloop_timer(e->loop, HELLO_TIMEOUT_MS, client_silent, client, &client->hello_timer);
	if (ret)
		return ret;
	/* Another pid namespace, or an old kernel: the socket alone must do. */
	client->pidfd = client->pid > 0 ? (int)syscall(SYS_pidfd_open, client->pid, 0) : -1;
	if (client->pidfd < 0)
		return 0;
	return evloop_add(e->loop, client->pidfd, EPOLLIN, client_process_ended, client,
	                  &client->pid_watch);
}

/* NULL: welcome; else why not. */
static const char *client_unwelcome(const struct engined *e, const struct client *client,
                                    int *error)
{
	const struct client *other;
	unsigned int same = 0;

	*error = EACCES;
	if (!engined_config_allows(&e->config, client->uid, client->gid))
		return "this user may not use the device";
	*error = EUSERS;
	if (e->clients_count > e->config.limits.clients)
		return "too many clients";
	for (other = e->clients; other; other = other->next)
		same += other->uid == client->uid;
	return same > e->config.limits.clients_per_user ? "too many clients of this user" : NULL;
}

static void client_new(struct engined *e, int socket)
{
	struct client *client = calloc(1, sizeof(*client));
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const char *text;
	int error;

	if (!client || getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		free(client);
		close(socket);
		return;
	}
	client->engined = e;
	client->socket = socket;
	client->pid = peer.pid;
	client->uid = peer.uid;
	client->gid = peer.gid;
	client->trusted = peer.uid == 0 || peer.uid == geteuid();
	client->pidfd = -1;
	client->doorbell = -1;
	client->region.fd = -1;
	strcpy(client->name, "?");
	client->next = e->clients;
	if (e->clients)
		e->clients->prev = client;
	e->clients = client;
	e->clients_count++;

	text = client_unwelcome(e, client, &error);
	if (text)
		client_refuse(client, error, text);
	else if (client_watch(client))
		client_refuse(client, ENOMEM, "no memory for another client");
}

static void listen_again(void *context)
{
	struct engined *e = context;

	(void)evloop_modify(e->listen_watch, EPOLLIN);
}

/* Out of descriptors or memory: the connection stays in the queue, so look away for a second. */
static void listen_pause(struct engined *e)
{
	log_warning("cannot accept a client: %s", strerror(errno));
	evloop_remove(e->listen_timer);
	e->listen_timer = NULL;
	if (!evloop_timer(e->loop, 1000, listen_again, e, &e->listen_timer))
		(void)evloop_modify(e->listen_watch, 0);
}

static void listen_event(void *context, int fd, uint32_t events)
{
	struct engined *e = context;
	int socket;

	socket = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (socket >= 0)
		client_new(e, socket);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		listen_pause(e);
}

int client_listen(struct engined *e)
{
	int fd;

	fd = unix_listen(e->config.listen, SOCK_SEQPACKET, 0666, LISTEN_BACKLOG);
	if (fd < 0)
		return fd;
	e->listener = fd;
	return evloop_add(e->loop, fd, EPOLLIN, listen_event, e, &e->listen_watch);
}

void client_unlisten(struct engined *e)
{
	evloop_remove(e->listen_watch);
	e->listen_watch = NULL;
	evloop_remove(e->listen_timer);
	e->listen_timer = NULL;
	if (e->listener < 0)
		return;
	unlink(e->config.listen);
	close(e->listener);
	e->listener = -1;
}
