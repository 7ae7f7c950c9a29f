/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device in place of libvcrypto's, for vcrypto-engined: it makes sessions, touches every byte
 * that an operation names, and checks that all of it lies in memory that was registered.
 */
#ifndef VC_FUZZ_FAKE_DEVICE_H
#define VC_FUZZ_FAKE_DEVICE_H

#include <stdint.h>

/* Bit 0: operations are kept; 1: sessions take a while; 2: sessions fail; 3: operations fail; 4: it
 * is gone; 5: memory is refused; 6: operations are wrong; 7: what it can do has changed. */
void fake_device_set(uint8_t how);

#endif
