/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session message of QEMU's cryptodev-vhost-user, which has had three layouts. Main thread. The
 * pointers in it are the front end's own and are never looked at.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/secmem.h"
#include "host/vhost_user.h"
#include "wire/virtio_crypto.h"

/*
 * QEMU up to 7.0 has the operation code where 7.1 to 8.0 have the cipher, and the fields from there
 * to the pointers 4 bytes later; size and keys are where they are. As a cipher the operation code
 * would be AES-ECB, with a key as long as the number of an algorithm: no such key exists.
 */
#define OLD_FIELDS_AT 12
#define OLD_FIELDS_SIZE offsetof(struct vhost_user_crypto_sym, padding)
#define OLD_MAX_ALGORITHM VIRTIO_CRYPTO_CIPHER_ZUC_EEA3

static bool is_old_layout(const struct vhost_user_crypto_session_632 *message)
{
	return message->sym.cipher_alg == VIRTIO_CRYPTO_CIPHER_CREATE_SESSION &&
	       message->sym.key_len <= OLD_MAX_ALGORITHM;
}

static int params_632(uint8_t *payload, struct session_params *params)
{
	struct vhost_user_crypto_session_632 *message = (void *)payload;

	if (is_old_layout(message))
		memmove(&message->sym, payload + OLD_FIELDS_AT, OLD_FIELDS_SIZE);
	return session_params_from_sym(&message->sym, params);
}

static int params_1072(uint8_t *payload, struct session_params *params)
{
	const struct vhost_user_crypto_session_1072 *message = (void *)payload;

	switch (message->op_code) {
	case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
		return session_params_from_sym(&message->u.sym, params);
	case VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION:
		return session_params_from_asym(&message->u.asym, params);
	default:
		return -ENOTSUP;
	}
}

void vhost_session_create(struct device *device, uint8_t *payload, uint32_t size)
{
	bool short_layout = size == sizeof(struct vhost_user_crypto_session_632);
	struct session_params params = {0};
	uint64_t id = 0;
	int64_t answer;
	int err;

	err = short_layout ? params_632(payload, &params) : params_1072(payload, &params);
	if (!err)
		err = device_session_create(device, &params, &id);
	answer = err ? -1 : (int64_t)id;
	if (err)
		log_debug("device %s: session refused: %s", device->name, strerror(-err));

	/* Nobody needs the keys back. */
	secmem_wipe(payload, size);
	if (short_layout)
		memcpy(payload + offsetof(struct vhost_user_crypto_session_632, session_id),
		       &answer, sizeof(answer));
	else
		memcpy(payload + offsetof(struct vhost_user_crypto_session_1072, session_id),
		       &answer, sizeof(answer));
}
