/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcrypto-engined and a hostile application: messages on its socket, and a region that the
 * application writes to as it likes, also while the daemon reads (change.h). There may be one
 * beside it that behaves well (engine_neighbour.c). The device below is fake_device.c. And the
 * control socket, with what is hardly hostile but may be broken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "change.h"
#include "engine_neighbour.h"
#include "engined/engined.h"
#include "fake_device.h"
#include "fuzz.h"
#include "input.h"

#define CHANNELS 2
#define SLOTS 4
#define CLIENTS 2
/* Rounds in which a device that does well answers all. */
#define PATIENCE 64
/* The first byte of an input, as bits. */
#define NEIGHBOUR 1u

static struct engined e;
static char directory[] = "/tmp/vcf-engine-XXXXXX";

/* The applications of one input. */
static struct {
	int socket;
	uint8_t *region;
	size_t size;
} app[CLIENTS];
static int control;
static bool device_well; /* so far */

static void directory_remove(void)
{
	(void)rmdir(directory);
}

static void prepare(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	fuzz_check(mkdtemp(directory));
	atexit(directory_remove);
	fuzz_check(!setenv("VCRYPTO_RUNTIME_DIR", directory, 1));
	fuzz_check(!engined_config_default(&e.config));
	/* The kernel is slow to take asynchronous I/O away again. */
	e.wake = wake_create();
	fuzz_check(e.wake);
	e.config.queues = 2;
	e.config.depth = 8;
	e.config.limits.channels = CHANNELS;
	e.config.limits.slots = SLOTS;
	e.config.limits.sessions = 3;
	e.config.limits.wakers = 3;
	e.config.session_cache.max = 2;
}

static void begin(uint8_t how)
{
	char path[128];

	e.listener = -1;
	e.wakers_max = 5;
	fuzz_check(!evloop_create(&e.loop));
	fuzz_check(!request_pool_init(&e) && !session_init(&e));
	snprintf(path, sizeof(path), "%s/ctl", directory);
	fuzz_check(!status_open(&e, path));
	device_init(&e);
	device_try_open(&e);
	fuzz_check(e.device.handle);
	fuzz_check(!client_listen(&e));
	control = unix_connect(path, SOCK_STREAM);
	fuzz_check(control >= 0);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		app[i].socket = unix_connect(e.config.listen, SOCK_SEQPACKET);
		app[i].region = NULL;
		fuzz_check(app[i].socket >= 0);
	}
	device_well = true;
	if (how & NEIGHBOUR)
		neighbour_begin(&e);
}

static void app_close(unsigned int i)
{
	if (app[i].socket >= 0)
		close(app[i].socket);
	app[i].socket = -1;
}

/* ---- the daemon's side, as loop.c has it ---- */

/* What may change is what the daemon has mapped itself: rings, slots and the first buffer, but not
 * those of the neighbour. */
static void memory_name(void)
{
	change_forget();
	for (const struct client *client = e.clients; client; client = client->next)
		if (client->region.base && strcmp(client->name, NEIGHBOUR_NAME) != 0)
			change_memory(client->region.base,
			              client->region.layout.buffer_offset + 4096);
}

/* At once, not when its timer says so. */
static void device_again(void)
{
	evloop_remove(e.device.timer);
	e.device.timer = NULL;
	device_try_open(&e);
}

static void daemon_round(void)
{
	memory_name();
	device_poll(&e);
	session_poll(&e);
	look_take(&e);
	device_flush(&e);
	wake_flush(e.wake);
	change_forget();
	if (device_check(&e))
		device_again();
	if (e.dying)
		client_reap(&e);
}

/* The device does well again: nobody waits for ever. */
static void settle(void)
{
	fake_device_set(0);
	for (unsigned int i = 0; i < 4 || !neighbour_idle(device_well); i++) {
		fuzz_check(i < PATIENCE);
		if (!e.device.handle)
			device_again();
		daemon_round();
	}
}

/* In the order of the daemon's main.c. */
static void end(void)
{
	changes_end();
	settle();
	close(control);
	neighbour_end();
	for (unsigned int i = 0; i < CLIENTS; i++) {
		app_close(i);
		if (app[i].region)
			munmap(app[i].region, app[i].size);
	}
	for (unsigned int i = 0; i < 4; i++)
		evloop_once(e.loop, 0);
	client_unlisten(&e);
	status_close(&e);
	device_close(&e);
	client_drop_all(&e);
	fuzz_check(!e.clients && !e.pool.used && !e.wakers_total);
	session_exit(&e);
	request_pool_free(&e);
	evloop_destroy(e.loop);
	e = (struct engined){.config = e.config, .wake = e.wake};
}

/* ---- the applications' ---- */

/* Take what the daemon says; a region comes with its welcome. */
static void app_listen(unsigned int i)
{
	uint8_t bytes[256];
	struct vce_welcome *welcome = (struct vce_welcome *)bytes;
	int fds[2];
	unsigned int nfds = 2;

	while (app[i].socket >= 0 &&
	       unix_recv_fds(app[i].socket, bytes, sizeof(bytes), fds, &nfds, MSG_DONTWAIT) > 0) {
		if (nfds == 2 && !app[i].region) {
			app[i].size = welcome->region_size;
			app[i].region = mmap(NULL, app[i].size, PROT_READ | PROT_WRITE, MAP_SHARED,
			                     fds[0], 0);
			fuzz_check(app[i].region != MAP_FAILED);
		}
		while (nfds)
			close(fds[--nfds]);
		nfds = 2;
	}
}

static void app_send(unsigned int i, const void *bytes, size_t size, const int *fds,
                     unsigned int nfds)
{
	if (app[i].socket >= 0)
		unix_send_fds(app[i].socket, bytes, size, fds, nfds, MSG_NOSIGNAL | MSG_DONTWAIT);
	evloop_once(e.loop, 0);
	evloop_once(e.loop, 0);
	app_listen(i);
}

static void hello(unsigned int i, struct input *in)
{
	struct vce_hello hello = {.header = {VCE_MAGIC, VCE_HELLO}, .version = VCE_VERSION};

	hello.channels = input_u8(in);
	hello.slots = input_u8(in);
	input_bytes(in, hello.name, input_u8(in) % sizeof(hello.name));
	app_send(i, &hello, sizeof(hello), NULL, 0);
}

static void wakers(unsigned int i, struct input *in)
{
	struct vce_wakers message = {.header = {VCE_MAGIC, VCE_WAKERS}};
	unsigned int n = input_u8(in) % 5;
	int fds[4];

	message.first = input_u8(in);
	message.count = n;
	for (unsigned int k = 0; k < n; k++)
		fds[k] = message.first & 0x80 ? dup(STDERR_FILENO) : event_create();
	message.first &= 0x7f;
	app_send(i, &message, sizeof(message), fds, n);
	while (n)
		close(fds[--n]);
}

static void rubbish(unsigned int i, struct input *in)
{
	uint8_t bytes[128];
	size_t n = input_u8(in) % sizeof(bytes);

	input_bytes(in, bytes, n);
	app_send(i, bytes, n, &control, n & 1);
}

static uint8_t *place(unsigned int i, size_t offset, size_t size)
{
	return app[i].region && offset + size <= app[i].size ? app[i].region + offset : NULL;
}

/* Any bytes, in rings and slots mostly. */
static void scribble(unsigned int i, struct input *in)
{
	uint32_t offset = input_u16(in);
	uint8_t n = input_u8(in) % 65, *at = place(i, offset, n);

	if (at)
		input_bytes(in, at, n);
}

/* A slot as the library fills it, with what is asked for from the input, and its number into the
 * ring. Offsets in slots count from the buffer. */
static void submit(unsigned int i, struct input *in)
{
	struct vce_region_header *header = (struct vce_region_header *)app[i].region;
	uint8_t how = input_u8(in);
	unsigned int c = how & 1, s = how / 2 % SLOTS;
	struct vce_channel *channel;
	struct vce_slot *slot;
	uint64_t buffer;
	uint8_t data;

	if (!header || header->channels != CHANNELS || header->slots != SLOTS)
		return;
	channel =
		(struct vce_channel *)place(i, header->channel_offset + c * header->channel_stride,
	                                    sizeof(*channel) + 2 * SLOTS);
	slot = (struct vce_slot *)place(i,
	                                header->channel_offset + c * header->channel_stride +
	                                        header->slot_offset + s * sizeof(*slot),
	                                sizeof(*slot));
	buffer = header->buffer_offset + (c * SLOTS + s) * (uint64_t)header->buffer_stride;
	if (!channel || !slot || (uintptr_t)channel % 64 || (uintptr_t)slot % 64)
		return;
	memset(slot, 0, offsetof(struct vce_slot, state));
	input_bytes(in, slot, input_u8(in) % (offsetof(struct vce_slot, state) + 1));
	slot->src += (uint32_t)buffer;
	slot->dst += (uint32_t)buffer;
	slot->aad += (uint32_t)buffer;
	slot->tag += (uint32_t)buffer;
	/* Metadata of a session, or data. */
	data = input_u8(in);
	if (data && place(i, buffer, data))
		input_bytes(in, app[i].region + buffer, data);
	header->channels_used = CHANNELS;
	__atomic_store_n(&slot->state, VCE_SLOT_STATE(how, how & 0x80 ? 2 : 1), __ATOMIC_RELAXED);
	channel->ring[channel->tail % SLOTS] = (uint16_t)s;
	__atomic_store_n(&channel->tail, channel->tail + 1, __ATOMIC_RELEASE);
}

/* ---- the control socket ---- */

static void control_line(struct input *in)
{
	uint8_t bytes[128], answer[4096];
	size_t n = input_u8(in) % sizeof(bytes);

	input_bytes(in, bytes, n);
	if (n && send(control, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		evloop_once(e.loop, 0);
	while (recv(control, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
}

static void device_set(uint8_t how)
{
	device_well &= !how;
	fake_device_set(how);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	prepare();
	begin(input_u8(&in));
	while (in.left) {
		uint8_t op = input_u8(&in);
		unsigned int i = op / 16 % CLIENTS;

		switch (op % 10) {
		case 0:
			hello(i, &in);
			break;
		case 1:
			wakers(i, &in);
			break;
		case 2:
			rubbish(i, &in);
			break;
		case 3:
			scribble(i, &in);
			break;
		case 4:
		case 5:
			submit(i, &in);
			break;
		case 6:
			device_set(input_u8(&in));
			break;
		case 7:
			control_line(&in);
			break;
		case 8:
			if (op == 0xe8)
				app_close(i);
			else
				changes_begin(&in);
			break;
		default:
			daemon_round();
			neighbour_go_on(device_well);
			break;
		}
	}
	end();
	return 0;
}

/* ---- seeds ---- */

enum { HELLO, WAKERS, SCRIBBLE = 3, SUBMIT, DEVICE = 6, LINE, CHANGES, ROUND };

static void hello_add(struct seed *seed, unsigned int how)
{
	seed_u8(seed, how);
	seed_u8(seed, HELLO);
	seed_u8(seed, CHANNELS);
	seed_u8(seed, SLOTS);
	seed_u8(seed, 4);
	seed_bytes(seed, "fuzz", 4);
}

static void submit_add(struct seed *seed, unsigned int how, const struct vce_slot *slot,
                       const void *data, size_t n)
{
	seed_u8(seed, SUBMIT);
	seed_u8(seed, how);
	seed_u8(seed, offsetof(struct vce_slot, state));
	seed_bytes(seed, slot, offsetof(struct vce_slot, state));
	seed_u8(seed, (unsigned int)n);
	seed_bytes(seed, data, n);
}

static void line_add(struct seed *seed, const char *text)
{
	seed_u8(seed, LINE);
	seed_u8(seed, (unsigned int)strlen(text) + 1);
	seed_bytes(seed, text, strlen(text));
	seed_u8(seed, '\n');
}

/* A session of each service, and a request of it. */
static const struct service_seed {
	struct vce_session_params params;
	struct vce_slot slot;
} services[] = {
	{{.service = VCRYPTO_SERVICE_CIPHER, .algorithm = 3, .direction = 1, .key_len = 16},
         {.length = 64, .dst = 64, .iv_len = 16}},
	{{.service = VCRYPTO_SERVICE_CIPHER,
          .algorithm = 3,
          .direction = 1,
          .key_len = 16,
          .chain = 2,
          .mac = 2,
          .auth_key_len = 20},
         {.length = 64, .dst = 64, .iv_len = 16, .tag = 256, .hash_len = 64}},
	{{.service = VCRYPTO_SERVICE_HASH, .algorithm = 4}, {.length = 64, .tag = 256}},
	{{.service = VCRYPTO_SERVICE_MAC, .algorithm = 2, .auth_key_len = 20},
         {.length = 64, .tag = 256, .tag_len = 12}},
	{{.service = VCRYPTO_SERVICE_AEAD, .algorithm = 1, .direction = 2, .key_len = 32},
         {.length = 64, .dst = 0, .iv_len = 12, .aad = 200, .aad_len = 13, .tag = 256}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER, .algorithm = 1, .key_len = 100, .private_key = 1},
         {.length = 64, .dst = 128, .dst_len = 128, .akcipher_op = VCRYPTO_AKCIPHER_SIGN}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER, .algorithm = 1, .key_len = 100},
         {.length = 64, .tag = 256, .tag_len = 32, .akcipher_op = VCRYPTO_AKCIPHER_VERIFY}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER,
          .algorithm = 2,
          .key_len = 39,
          .private_key = 1,
          .curve = 3},
         {.length = 32, .dst = 64, .dst_len = 72, .akcipher_op = VCRYPTO_AKCIPHER_SIGN}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER, .algorithm = 2, .key_len = 133, .curve = 5},
         {.length = 139, .tag = 256, .tag_len = 64, .akcipher_op = VCRYPTO_AKCIPHER_VERIFY}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER, .algorithm = VCRYPTO_AKCIPHER_AGREE, .curve = 25},
         {.length = 64, .dst = 64, .dst_len = 32, .akcipher_op = VCRYPTO_AKCIPHER_DERIVE}},
	{{.service = VCRYPTO_SERVICE_AKCIPHER, .algorithm = VCRYPTO_AKCIPHER_AGREE, .curve = 5},
         {.dst = 64, .dst_len = 199, .akcipher_op = VCRYPTO_AKCIPHER_GENERATE}},
};

static void service_save(unsigned int i, unsigned int variant)
{
	static const uint8_t changes[] = {2, 40, 0, 0x20, 2, 1, 9, 1, 0, 0, 0xff};
	const struct service_seed *s = &services[i];
	struct vce_slot slot = {.opcode = VCE_OP_SESSION_OPEN};
	uint8_t blob[200] = {0};
	struct seed seed = {0};
	char name[32];

	slot.length = (uint32_t)sizeof(s->params) + s->params.key_len + s->params.auth_key_len;
	memcpy(blob, &s->params, sizeof(s->params));
	hello_add(&seed, variant & 3 ? NEIGHBOUR : 0);
	if (variant & 1) {
		seed_u8(&seed, WAKERS);
		seed_u8(&seed, 2);
		seed_u8(&seed, 1);
		slot.waker = 1;
	}
	if (variant & 2) {
		seed_u8(&seed, DEVICE);
		seed_u8(&seed, 3);
	}
	submit_add(&seed, variant & 4 ? 0x80 : 0, &slot, blob, slot.length);
	for (unsigned int n = 0; n < 4; n++)
		seed_u8(&seed, ROUND);
	if (variant & 4) {
		seed_u8(&seed, CHANGES);
		seed_bytes(&seed, changes, sizeof(changes));
	}
	slot = s->slot;
	slot.opcode = VCE_OP_CRYPT;
	slot.session = 0x10001;
	submit_add(&seed, 3, &slot, blob, 0);
	seed_u8(&seed, ROUND);
	seed_u8(&seed, ROUND);
	slot.opcode = VCE_OP_SESSION_CLOSE;
	submit_add(&seed, 5, &slot, blob, 0);
	seed_u8(&seed, ROUND);
	snprintf(name, sizeof(name), "service-%u-%u", i, variant);
	seed_save(name, seed.bytes, seed.size);
}

void fuzz_seeds(void)
{
	static const char *const lines[] = {
		"{\"command\": \"status\"}",
		"{\"command\": \"clients\"}",
		"{\"command\": \"devices\"}",
		"{\"command\": \"sessions\"}",
		"{\"command\": \"version\"}",
		"{\"command\": \"log-level\", \"level\": \"error\"}",
		"{\"command\": [1, 2.5e3]}",
		"{\"command\": \"none\"}",
		"[{\"a\": null}, \"\\u0000\"]",
		"{",
	};
	struct seed seed = {0};

	for (unsigned int i = 0; i < 8 * vc_array_size(services); i++)
		service_save(i / 8, i % 8);
	hello_add(&seed, 0);
	for (size_t i = 0; i < vc_array_size(lines); i++)
		line_add(&seed, lines[i]);
	seed_save("control", seed.bytes, seed.size);
}
