/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenSSL ENGINE "vcrypto": start and end, commands, errors.
 *
 * A process has one front for all ENGINE objects that it makes of this module (newer versions of
 * OpenSSL allow one at a time), and one connection: the first object opens it, the last one closes
 * it. OpenSSL calls init, finish and destroy with a
 * lock of its own held, under which nothing may ask for another ENGINE. Trusts the application that
 * loads it (it is part of it) and openssl.cnf.
 */
#include "openssl/engine/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/log.h"
#include "base/util.h"
#include "openssl/core/core.h"
#include "openssl/core/debug.h"

struct provider engine_front;

static pthread_mutex_t front_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int front_users; /* front_lock */
/* Since then the client of the daemon has its settings. */
static atomic_bool started;

/* -------------------------------------------------------------------------------------- errors */

static int error_library;
static pthread_once_t error_once = PTHREAD_ONCE_INIT;

/* Not unloaded: this module never is. */
static void load_errors(void)
{
	static ERR_STRING_DATA library[] = {{0, "vcrypto engine"}, {0, NULL}};
	static ERR_STRING_DATA reasons[] = {
		{ERR_PACK(0, 0, ENGINE_REASON_BAD_VALUE), "bad value"},
		{ERR_PACK(0, 0, ENGINE_REASON_TOO_LATE), "too late for this command"},
		{ERR_PACK(0, 0, ENGINE_REASON_UNKNOWN_COMMAND), "unknown command"},
		{ERR_PACK(0, 0, ENGINE_REASON_NOT_OFFLOADED), "not offloaded"},
		{ERR_PACK(0, 0, ENGINE_REASON_NO_DEFAULT_PROVIDER), "no default provider"},
		{0, NULL},
	};

	error_library = ERR_get_next_error_library();
	library[0].error = ERR_PACK(error_library, 0, 0);
	ERR_load_strings(error_library, library);
	ERR_load_strings(error_library, reasons);
}

int engine_error_library(void)
{
	pthread_once(&error_once, load_errors);
	return error_library;
}

bool engine_fall_back(const char *operation)
{
	if (engine_front.policy.fallback)
		return true;
	ENGINE_RAISE(NOT_OFFLOADED, "%s: the device did not do it, and FALLBACK is off", operation);
	return false;
}

/* ---------------------------------------------------------------------------- keys of objects */

/* A copy keeps the key that it got at its own beginning. */
static int keep_own(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int index,
                    long number, void *arg)
{
	*data = CRYPTO_get_ex_data(to, index);
	return 1;
}

int engine_key_index(int class_index)
{
	return CRYPTO_get_ex_new_index(class_index, 0, NULL, NULL, keep_own, NULL);
}

/* ------------------------------------------------------------------------------------ commands */

/* The commands are the settings of policy.h, by their numbers. */
#define COMMAND(setting) (ENGINE_CMD_BASE + POLICY_SET_##setting)

static const ENGINE_CMD_DEFN commands[] = {
	{COMMAND(MODE), "POLICY", "What is offloaded: auto, always or never",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(MIN_SIZE), "MIN_SIZE", "Bytes from which on ciphers are offloaded",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(OFFLOAD), "OFFLOAD", "The same by kind of work: gcm=16384, p256=always, rsa=never",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(BLOCK), "BLOCK_OPERATIONS",
         "What is left to OpenSSL: cipher, signature, asym-cipher, keymgmt",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(FALLBACK), "FALLBACK", "on: software does what cannot be offloaded; off: it fails",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(SOCKET), "SOCKET", "Path of vcrypto-engined's socket", ENGINE_CMD_FLAG_STRING},
	{COMMAND(DEADLINE), "DEADLINE_MS", "Milliseconds until software does it instead",
         ENGINE_CMD_FLAG_STRING},
	{COMMAND(SPIN), "SPIN_US", "Microseconds that a caller without jobs looks before it sleeps",
         ENGINE_CMD_FLAG_STRING},
	{0, NULL, NULL, 0},
};

/* Keys are made by OpenSSL. */
static_assert(vc_array_size(commands) == POLICY_SET_GENERATE + 1, "a command for each setting");

/* What was given, by setting; "" for the default. */
static char values[POLICY_SETTINGS][256];

/* 0, or -EINVAL with what is wrong. */
static int parse_values(struct policy *policy, bool environment, struct policy_error *error)
{
	struct policy_texts texts = {0};

	for (unsigned int i = 0; i < POLICY_SETTINGS; i++)
		texts.text[i] = values[i][0] ? values[i] : NULL;
	if (environment)
		policy_environment(&texts);
	texts.text[POLICY_SET_GENERATE] = NULL;
	return policy_parse(policy, &texts, error);
}

/* Most programs do not look at the errors of openssl.cnf, and go on without us. */
static void bad_value(enum policy_setting setting, const char *place, const char *value)
{
	const char *name = commands[setting].cmd_name;

	debug_open();
	log_error("ENGINE: bad value of %s%s: \"%s\"", name, place, value);
	ENGINE_RAISE(BAD_VALUE, "%s%s cannot be \"%s\"", name, place, value);
}

/* Under front_lock. */
static int set_value(enum policy_setting setting, const char *text)
{
	char *value = values[setting], before[sizeof(values[0])];
	struct policy_error error = {.setting = setting};
	struct policy policy;

	/* The client of the daemon is told these once. */
	if ((setting == POLICY_SET_SOCKET || setting == POLICY_SET_DEADLINE ||
	     setting == POLICY_SET_SPIN) &&
	    atomic_load(&started) && strcmp(value, text) != 0) {
		ENGINE_RAISE(TOO_LATE, "%s has to be set before the ENGINE is initialised",
		             commands[setting].cmd_name);
		return 0;
	}
	memcpy(before, value, sizeof(before));
	/* By itself: what is in the environment counts more, but does not make it right. */
	if (!text[0] || OPENSSL_strlcpy(value, text, sizeof(before)) >= sizeof(before) ||
	    parse_values(&policy, false, &error) || parse_values(&policy, true, &error)) {
		memcpy(value, before, sizeof(before));
		bad_value(setting, "", error.part[0] ? error.part : text);
		return 0;
	}
	engine_front.policy = policy;
	return 1;
}

static int control(ENGINE *e, int number, long i, void *p, void (*f)(void))
{
	int ok;

	if (number < ENGINE_CMD_BASE || number >= ENGINE_CMD_BASE + POLICY_SET_GENERATE) {
		ENGINE_RAISE(UNKNOWN_COMMAND, "number %d", number);
		return 0;
	}
	pthread_mutex_lock(&front_lock);
	ok = set_value((enum policy_setting)(number - ENGINE_CMD_BASE), p ? p : "");
	pthread_mutex_unlock(&front_lock);
	return ok;
}

/* ------------------------------------------------------------------------------- start and end */

static void front_close(void)
{
	engine_ciphers_close();
	engine_ec_close();
	engine_rsa_close();
	delegate_close(&engine_front);
	memset(values, 0, sizeof(values));
	atomic_store(&started, false);
}

/* The environment has settings, too. */
static bool first_settings(void)
{
	struct policy_error error;

	if (!parse_values(&engine_front.policy, true, &error))
		return true;
	bad_value(error.setting, " in the environment", error.part);
	return false;
}

static bool open_parts(void)
{
	if (!delegate_open(&engine_front) && engine_rsa_open() && engine_ec_open() &&
	    engine_ciphers_open())
		return true;
	ENGINE_RAISE(NO_DEFAULT_PROVIDER, "it cannot be loaded, or lacks what is needed");
	return false;
}

static bool front_open(void)
{
	bool ok = true;

	pthread_mutex_lock(&front_lock);
	if (!front_users) {
		memset(&engine_front, 0, sizeof(engine_front));
		ok = first_settings() && open_parts();
	}
	if (ok)
		front_users++;
	else
		front_close();
	pthread_mutex_unlock(&front_lock);
	return ok;
}

static int engine_init(ENGINE *e)
{
	pthread_mutex_lock(&front_lock);
	if (!atomic_exchange(&started, true))
		policy_start_core(&engine_front.policy);
	pthread_mutex_unlock(&front_lock);
	return 1;
}

static int engine_finish(ENGINE *e)
{
	/* Keys and ciphers are gone by now; the connection stays for those that come. */
	return 1;
}

static void front_release(void)
{
	pthread_mutex_lock(&front_lock);
	if (!--front_users) {
		core_teardown();
		front_close();
	}
	pthread_mutex_unlock(&front_lock);
}

static int engine_destroy(ENGINE *e)
{
	front_release();
	return 1;
}

static int fill(ENGINE *e)
{
	return ENGINE_set_id(e, ENGINE_ID) &&
	       ENGINE_set_name(e, "vcrypto " VCRYPTO_VERSION ": offloading to vcrypto-engined") &&
	       ENGINE_set_init_function(e, engine_init) &&
	       ENGINE_set_finish_function(e, engine_finish) &&
	       ENGINE_set_destroy_function(e, engine_destroy) &&
	       ENGINE_set_ctrl_function(e, control) && ENGINE_set_cmd_defns(e, commands) &&
	       ENGINE_set_RSA(e, engine_rsa()) && ENGINE_set_EC(e, engine_ec()) &&
	       ENGINE_set_ciphers(e, engine_ciphers);
}

static int bind(ENGINE *e, const char *id)
{
	if (id && strcmp(id, ENGINE_ID) != 0)
		return 0;
	if (!front_open())
		return 0;
	if (!fill(e)) {
		/* OpenSSL forgets what has been filled in. */
		front_release();
		return 0;
	}
	return 1;
}

/* What OpenSSL's loader of modules looks for. */
__attribute__((visibility("default"))) unsigned long v_check(unsigned long version);
__attribute__((visibility("default"))) int bind_engine(ENGINE *e, const char *id,
                                                       const dynamic_fns *functions);

IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(bind)
