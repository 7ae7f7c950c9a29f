/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to attack*.c.
 */
#ifndef VC_TEST_HOSTILE_ATTACK_PRIVATE_H
#define VC_TEST_HOSTILE_ATTACK_PRIVATE_H

#include "attack.h"

/* attack.c */
uint32_t below(struct attacker *a, uint32_t n);
/* Numbers at which somebody may have forgotten something. */
uint32_t odd_number(struct attacker *a);
struct ring *data_ring(struct attacker *a);
struct ring *control_ring(struct attacker *a);
/* Put the chain where its head is, or into an indirect table in its cell. */
struct virtq_desc *place(struct attacker *a, struct ring *ring, int head, struct virtq_desc *descs,
                         unsigned int n);
void spoil_header(struct attacker *a, uint8_t *cell);
/* Up to as many requests as there are heads, spoilt as the kind has it. */
void burst(struct attacker *a, struct ring *ring, enum attack kind);
/* What was sound in its ring comes back, whatever it was. 0, -ETIMEDOUT. */
int rings_wait(struct attacker *a);

/* attack_session.c, attack_inflight.c: rounds, as attack_round() has it. */
int attack_sessions(struct attacker *a);
int attack_inband(struct attacker *a);
int attack_inflight(struct attacker *a);

#endif
