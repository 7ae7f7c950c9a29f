/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: the environment that DPDK wants (EAL), once for the process, and its log.
 *
 * Main thread, before there are workers. DPDK is made to fit into our process, and not the other
 * way round: the affinity of the calling thread is given back to it, nothing is left in the file
 * system, no other program of DPDK's is met, and no other device than those that are named is
 * touched. Addresses of the process are those that devices use (IOVA as VA): memory of guests could
 * not be given to them otherwise. The EAL stays until the process ends: it can be started once
 * only.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/resource/dpdk.h"

#define MAX_ARGUMENTS 128
/* DPDK takes the name of this for its directory. */
#define DIRECTORY_VARIABLE "RUNTIME_DIRECTORY"

static const struct dpdk_host *host;
static bool quiet;
static OSSL_PROVIDER *provider; /* held to the end */

/* ---- log ---- */

void dpdk_log(enum log_level level, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	host->log(level, line);
}

/* DPDK says as an error much that is none to us, such as a session that a device cannot do. */
static enum log_level level_of(int level)
{
	if (quiet)
		return LOG_LEVEL_DEBUG;
	if (level <= (int)RTE_LOG_ERR)
		return LOG_LEVEL_WARNING;
	return level == (int)RTE_LOG_WARNING ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

/* A stream's write function: pieces of lines, of one message. */
static ssize_t log_pieces(void *cookie, const char *text, size_t size)
{
	enum log_level level = level_of(rte_log_cur_msg_loglevel());
	size_t at = 0;

	(void)cookie;
	while (at < size) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t length = end ? (size_t)(end - text) - at : size - at;

		if (length)
			dpdk_log(level, "dpdk: %.*s", (int)vc_min(length, (size_t)480), text + at);
		at += length + 1;
	}
	return (ssize_t)size;
}

void dpdk_eal_quiet(bool on)
{
	quiet = on;
}

void dpdk_eal_log_init(const struct dpdk_host *from)
{
	static const cookie_io_functions_t functions = {.write = log_pieces};
	FILE *stream;

	host = from;
	stream = fopencookie(NULL, "w", functions);
	if (stream)
		rte_openlog_stream(stream);
}

/* ---- arguments ---- */

struct arguments {
	char *at[MAX_ARGUMENTS + 1];
	int count;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *arguments,
                                                      const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (arguments->count < MAX_ARGUMENTS && vasprintf(&text, format, args) >= 0)
		arguments->at[arguments->count++] = text;
	else
		arguments->failed = true;
	va_end(args);
}

/* One thread of DPDK's, on any CPU that this one may use. */
static void add_cpus(struct arguments *arguments, const cpu_set_t *cpus)
{
	char list[8192] = "";
	size_t at = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET((size_t)cpu, cpus))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%d", at ? "," : "",
			                       cpu);
	add(arguments, "--lcores=0@(%s)", list);
}

static void add_memory(struct arguments *arguments, const struct resource_dpdk *options)
{
	if (options->huge_pages) {
		add(arguments, "--in-memory");
	} else {
		add(arguments, "--no-huge");
		add(arguments, "--no-shconf");
	}
	if (options->memory)
		add(arguments, "-m%" PRIu64, vc_max(options->memory >> 20, UINT64_C(1)));
}

static void fill(struct arguments *arguments, const struct resource_dpdk *options,
                 const cpu_set_t *cpus)
{
	add(arguments, "vcrypto-host");
	add_cpus(arguments, cpus);
	add_memory(arguments, options);
	add(arguments, "--file-prefix=vcrypto-%d", (int)getpid());
	add(arguments, "--iova-mode=va");
	add(arguments, "--no-telemetry");
	if (!options->device_count)
		add(arguments, "--no-pci");
	for (unsigned int i = 0; i < options->device_count; i++)
		add(arguments, "--allow=%s", options->devices[i]);
	/* Last, as what comes last is what counts. */
	for (unsigned int i = 0; i < options->eal_count; i++)
		add(arguments, "%s", options->eal[i]);
}

/* ---- start ---- */

/* DPDK makes a directory for files that it does not write here, and would leave it. */
struct directory {
	char path[128];
	char *before; /* of the variable; NULL: it was not set */
};

static int directory_make(struct directory *directory)
{
	const char *before = getenv(DIRECTORY_VARIABLE);

	snprintf(directory->path, sizeof(directory->path), "%s/dpdk-XXXXXX", runtime_dir());
	if (runtime_dir_make() < 0 || !mkdtemp(directory->path)) {
		snprintf(directory->path, sizeof(directory->path), "/tmp/vcrypto-dpdk-XXXXXX");
		if (!mkdtemp(directory->path))
			return -errno;
	}
	directory->before = before ? strdup(before) : NULL;
	return setenv(DIRECTORY_VARIABLE, directory->path, 1) < 0 ? -errno : 0;
}

static void directory_remove(struct directory *directory)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/dpdk/vcrypto-%d", directory->path, (int)getpid());
	(void)rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", directory->path);
	(void)rmdir(path);
	(void)rmdir(directory->path);
	if (directory->before)
		setenv(DIRECTORY_VARIABLE, directory->before, 1);
	else
		unsetenv(DIRECTORY_VARIABLE);
	free(directory->before);
}

/* With an argument that it does not like, the EAL prints all that it would. Returns what standard
 * output was. */
static int output_away(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), output = -1;

	fflush(stdout);
	if (null >= 0) {
		output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
		if (output >= 0)
			dup2(null, STDOUT_FILENO);
		close(null);
	}
	return output;
}

static void output_back(int output)
{
	fflush(stdout);
	if (output >= 0) {
		dup2(output, STDOUT_FILENO);
		close(output);
	}
}

static int init(struct arguments *arguments)
{
	/* It exchanges the arguments' places. */
	char *copy[MAX_ARGUMENTS + 1];
	int output = output_away(), r;

	memcpy(copy, arguments->at, sizeof(copy));
	r = rte_eal_init(arguments->count, copy);
	output_back(output);
	return r < 0 ? -(rte_errno ? rte_errno : EINVAL) : 0;
}

static void provider_release(void)
{
	OSSL_PROVIDER_unload(provider);
}

static int start(const struct resource_dpdk *options)
{
	struct arguments arguments = {0};
	struct directory directory;
	cpu_set_t cpus;
	int err;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return -errno;
	fill(&arguments, options, &cpus);
	err = arguments.failed ? -E2BIG : directory_make(&directory);
	if (!err) {
		/* DPDK's OpenSSL device uses the default context: no openssl.cnf, which may name
		 * the vcrypto provider and lead back to us. When it goes, it takes the default
		 * provider from there, if nobody else holds it. */
		OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
		provider = OSSL_PROVIDER_load(NULL, "default");
		atexit(provider_release);
		err = init(&arguments);
		directory_remove(&directory);
		/* DPDK pins its main thread. */
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	for (int i = 0; i < arguments.count; i++)
		free(arguments.at[i]);
	return err;
}

int dpdk_eal_start(const struct resource_dpdk *options, char **error)
{
	static int state = 1; /* not yet; else 0 or -errno */

	if (state > 0)
		state = start(options);
	if (state < 0)
		*error = str_format("DPDK's environment does not start: %s; its own words are in "
		                    "the log above",
		                    strerror(-state));
	return state;
}
