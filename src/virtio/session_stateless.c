/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that the device never hears of: each operation brings parameters and key (stateless
 * mode, virtio 1.3, 5.9.7.3). Any thread, under the device's lock.
 *
 * The key lies in shared memory once, for all operations of the session, and is wiped with it.
 */
#include <errno.h>
#include <string.h>

#include "virtio/driver.h"

bool session_is_stateless(const struct vcrypto_device *device, enum vcrypto_service service)
{
	return device->features >> (VIRTIO_CRYPTO_F_CIPHER_STATELESS_MODE + (unsigned int)service) &
	       1;
}

static int key_put(struct vcrypto_device *device, struct op_brought *brought,
                   const struct vcrypto_session_params *p)
{
	if (!brought->key_len)
		return 0;
	brought->key = arena_alloc(&device->keys, brought->key_len);
	if (!brought->key)
		return -ENOSPC;
	if (p->key_len)
		memcpy(brought->key, p->key, p->key_len);
	if (p->auth_key_len)
		memcpy(brought->key + p->key_len, p->auth_key, p->auth_key_len);
	return 0;
}

int session_stateless_create(struct vcrypto_device *device,
                             const struct vcrypto_session_params *params,
                             struct vcrypto_session **session)
{
	struct vcrypto_session *s;
	int err = vcrypto_device_can(device, params);

	if (err)
		return err;
	pthread_mutex_lock(&device->lock);
	err = device_held(device);
	if (err)
		goto out;
	err = -ENOMEM;
	s = session_new(device);
	if (!s)
		goto out;
	session_wire_describe(&s->op, params);
	s->op.request.header.flag = 0;
	s->op.header_size = op_revised_size(params->service, true);
	s->op.brought = &s->brought;
	op_revised_describe(&s->brought, params);
	err = key_put(device, &s->brought, params);
	if (err)
		session_free(s);
	else
		*session = s;
out:
	pthread_mutex_unlock(&device->lock);
	return err;
}

void session_stateless_destroy(struct vcrypto_session *session)
{
	if (session->brought.key)
		arena_free(&session->device->keys, session->brought.key);
	session_free(session);
}
