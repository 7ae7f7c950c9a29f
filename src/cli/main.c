/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcryptoctl: ask the daemons over their control sockets, and print the answers.
 *
 * A command is a row of a table; but for those about PCI devices of this machine (pci.c), all of
 * them are answered by the daemons themselves. Without --host, --engined or --socket a command goes
 * to every daemon that knows it and is there.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ctl.h"
#include "base/log.h"
#include "base/util.h"
#include "cli/change.h"
#include "cli/pci.h"
#include "cli/show.h"
#include "virtio/pci_sysfs.h"

#define TIMEOUT_MS 5000
#define WAIT_STEP_US 20000
#define EXIT_USAGE 2

enum daemon { DAEMON_HOST, DAEMON_ENGINED, DAEMONS };

static const struct {
	const char *name;  /* also of its control socket and of its key in JSON */
	const char *title; /* of the program */
} daemons[DAEMONS] = {
	[DAEMON_HOST] = {"host", "vcrypto-host"},
	[DAEMON_ENGINED] = {"engined", "vcrypto-engined"},
};

struct command {
	const char *name;
	const char
		*argument; /* what follows the name, also its key in the request; NULL: nothing */
	const char *word;  /* that stands for what follows in the help */
	/* Instead: what any number of words that follow put into the request. */
	change_fn *change;
	bool lasts; /* it may take its time: --wait waits for that, too */
	const char *summary;
	show_fn *show[DAEMONS]; /* NULL: the daemon does not know it */
	bool headless;          /* its text names the daemon by itself */
	bool spaced;            /* an empty line goes between the daemons */
	/* Asks no daemon. Its argument may be left out. */
	int (*local)(const struct pci_options *options);
};

static const struct command commands[] = {
	{
		.name = "status",
		.summary = "what the daemons are, have and did",
		.show = {show_host_status, show_engined_status},
		.headless = true,
		.spaced = true,
	},
	{
		.name = "devices",
		.summary = "devices and their queues, as both ends see them",
		.show = {show_host_devices, show_engined_devices},
	},
	{
		.name = "clients",
		.summary = "applications and their requests (vcrypto-engined)",
		.show = {NULL, show_engined_clients},
	},
	{
		.name = "sessions",
		.summary = "sessions that are open, without their keys",
		.show = {show_host_sessions, show_engined_sessions},
	},
	{
		.name = "log-level",
		.argument = "level",
		.word = "LEVEL",
		.summary = "log from now on: error, warning, notice, info or debug",
		.show = {show_log_level, show_log_level},
	},
	{
		.name = "offline",
		.argument = "device",
		.word = "DEVICE",
		.summary = "tell the driver of a device that it is not ready (vcrypto-host)",
		.show = {show_host_ready, NULL},
	},
	{
		.name = "online",
		.argument = "device",
		.word = "DEVICE",
		.summary = "tell it that the device is ready again (vcrypto-host)",
		.show = {show_host_ready, NULL},
	},
	{
		.name = "limit",
		.word = "DEVICE ...",
		.summary = "a device's limits and weight: NAME=VALUE ... changes some",
		.change = change_limit,
		.show = {show_host_limit, NULL},
	},
	{
		.name = "fault",
		.word = "NAME ...",
		.summary = "a resource's faults: KEY=VALUE ... sets some, clear ends them",
		.change = change_fault,
		.show = {show_host_fault, NULL},
	},
	{
		.name = "add",
		.word = "WHAT",
		.summary = "add FILE (as host.yaml), or device|resource|group '{name: ...}'",
		.change = change_add,
		.show = {show_host_added, NULL},
	},
	{
		.name = "set",
		.word = "group '{...}'",
		.summary = "other resources or another policy for a group that there is",
		.change = change_set,
		.show = {show_host_change, NULL},
	},
	{
		.name = "drain",
		.word = "KIND NAME",
		.summary = "take a device or resource out of service; no request is lost",
		.change = change_drain,
		.lasts = true,
		.show = {show_host_change, NULL},
	},
	{
		.name = "resume",
		.word = "KIND NAME",
		.summary = "put it back into service",
		.change = change_drain,
		.show = {show_host_change, NULL},
	},
	{
		.name = "remove",
		.word = "KIND NAME",
		.summary = "remove a device, resource or group",
		.change = change_remove,
		.lasts = true,
		.show = {show_host_change, NULL},
	},
	{
		.name = "config",
		.summary = "the configuration that runs, as YAML (vcrypto-host)",
		.show = {show_host_config, NULL},
	},
	{
		.name = "version",
		.summary = "versions of the daemons that run",
		.show = {show_version, show_version},
		.headless = true,
	},
	{
		.name = "list",
		.summary = "virtio-crypto devices on the PCI bus of this machine",
		.local = pci_list,
	},
	{
		.name = "bind",
		.argument = "address",
		.word = "[ADDRESS]",
		.summary = "give such a device to vcrypto-engined (root)",
		.local = pci_bind,
	},
	{
		.name = "unbind",
		.argument = "address",
		.word = "[ADDRESS]",
		.summary = "give it back to the kernel's driver (root)",
		.local = pci_unbind,
	},
};

struct options {
	const struct command *command;
	const char *argument; /* of a command that asks no daemon */
	json_t *more;         /* what goes into the request */
	const char *socket;   /* of the one daemon; NULL: by its name */
	bool chosen[DAEMONS];
	uint64_t wait_ns; /* until when, for what is not there or not done yet; 0: not */
	bool force;
	const char *driver; /* of bind; NULL: what suits */
	bool json;
};

static void print_help(void)
{
	printf("Usage: vcryptoctl [--host|--engined] [--socket PATH] [--json] COMMAND\n\n"
	       "Looks at vcrypto-host and vcrypto-engined, and steers them.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < vc_array_size(commands); i++) {
		char usage[32];

		snprintf(usage, sizeof(usage), "%s%s%s", commands[i].name,
		         commands[i].word ? " " : "", commands[i].word ? commands[i].word : "");
		printf("  %-18s %s\n", usage, commands[i].summary);
	}
	printf("\nOptions:\n"
	       "  --host             ask vcrypto-host only\n"
	       "  --engined          ask vcrypto-engined only\n"
	       "  --socket PATH      ask the daemon whose control socket this is\n"
	       "  --json             print the answers as JSON\n"
	       "  --driver NAME      bind to " PCI_DRIVER_UIO " or " PCI_DRIVER_VFIO
	       " (default: what suits)\n"
	       "  --wait SECONDS     wait so long for daemons that are not there yet, and until\n"
	       "                     what was drained or removed is so\n"
	       "  --force            remove a device that is used, drain a resource that is "
	       "needed\n"
	       "  --version, --help\n\n"
	       "The control sockets are host.ctl and engined.ctl in $VCRYPTO_RUNTIME_DIR or\n"
	       "/run/vcrypto. Exit status: 0 good, 1 no daemon answered or it refused, 2 usage.\n");
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < vc_array_size(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int usage_error(const char *format, const char *what)
{
	fprintf(stderr, "vcryptoctl: ");
	fprintf(stderr, format, what);
	fprintf(stderr, "; see vcryptoctl --help\n");
	return EXIT_USAGE;
}

static int parse_wait(const char *text, struct options *options)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || seconds > 3600)
		return -EINVAL;
	options->wait_ns = clock_now_ns() + seconds * 1000000000ull;
	return 0;
}

/* 0, or the exit status + 1. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"host", no_argument, NULL, 'H'},         {"engined", no_argument, NULL, 'E'},
		{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"wait", required_argument, NULL, 'w'},   {"force", no_argument, NULL, 'f'},
		{"version", no_argument, NULL, 'V'},      {"help", no_argument, NULL, 'h'},
		{"driver", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "hV", longs, NULL)) != -1) {
		switch (option) {
		case 'H':
			options->chosen[DAEMON_HOST] = true;
			break;
		case 'E':
			options->chosen[DAEMON_ENGINED] = true;
			break;
		case 's':
			options->socket = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'f':
			options->force = true;
			break;
		case 'd':
			if (!strcmp(optarg, PCI_DRIVER_UIO) || !strcmp(optarg, PCI_DRIVER_VFIO)) {
				options->driver = optarg;
				break;
			}
			usage_error("--driver \"%s\": not " PCI_DRIVER_UIO " or " PCI_DRIVER_VFIO,
			            optarg);
			return EXIT_USAGE + 1;
		case 'w':
			if (!parse_wait(optarg, options))
				break;
			usage_error("--wait \"%s\": not a number of seconds, 3600 at most", optarg);
			return EXIT_USAGE + 1;
		case 'V':
			printf("vcryptoctl %s\n", VCRYPTO_VERSION);
			return EXIT_SUCCESS + 1;
		case 'h':
			print_help();
			return EXIT_SUCCESS + 1;
		default:
			fprintf(stderr, "See vcryptoctl --help\n");
			return EXIT_USAGE + 1;
		}
	}
	return 0;
}

/* 0, or the exit status. */
static int parse_change(int count, char *const *words, struct options *options)
{
	char *error = NULL;
	int err;

	options->more = options->force ? json_pack("{s:b}", "force", 1) : json_object();
	err = options->command->change(options->more, (unsigned int)count, words, &error);
	if (!err)
		return 0;
	fprintf(stderr, "vcryptoctl: %s: %s; see vcryptoctl --help\n", options->command->name,
	        error ? error : "that is not text (UTF-8)");
	free(error);
	return EXIT_USAGE;
}

/* 0, or the exit status. */
static int parse_command(int argc, char **argv, struct options *options)
{
	enum log_level level;
	int left = argc - optind;

	if (options->chosen[DAEMON_HOST] && options->chosen[DAEMON_ENGINED])
		return usage_error("--host and --engined%s", " exclude each other");
	if (!left)
		return usage_error("%s", "a command is missing");
	options->command = command_find(argv[optind]);
	if (!options->command)
		return usage_error("unknown command \"%s\"", argv[optind]);
	if (options->force && !options->command->lasts)
		return usage_error("--force is of drain and remove, not of %s",
		                   options->command->name);
	if (options->command->change)
		return parse_change(left - 1, argv + optind + 1, options);
	if (left > 2 || (left == 2 && !options->command->argument))
		return usage_error("\"%s\" is one word too many", argv[argc - 1]);
	if (!options->command->argument)
		return 0;
	if (left < 2 && options->command->local)
		return 0;
	if (left < 2)
		return usage_error("%s needs one word more", options->command->name);
	options->argument = argv[optind + 1];
	if (!strcmp(options->command->argument, "level") &&
	    log_level_parse(options->argument, &level))
		return usage_error("\"%s\" is not a log level", options->argument);
	options->more = json_pack("{s:s}", options->command->argument, options->argument);
	return options->more ? 0 : usage_error("\"%s\" is not text (UTF-8)", options->argument);
}

static bool is_absent(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED;
}

static int ask(const struct options *options, const char *path, const char *command, json_t *more,
               json_t **result, char **error)
{
	json_t *request = json_pack("{s:s}", "command", command);
	int err = -ENOMEM;

	*result = NULL;
	*error = NULL;
	if (request && (!more || json_object_update(request, more) == 0))
		err = ctl_call(path, request, TIMEOUT_MS, result, error);
	while (is_absent(err) && clock_now_ns() < options->wait_ns) {
		usleep(WAIT_STEP_US);
		free(*error);
		err = ctl_call(path, request, TIMEOUT_MS, result, error);
	}
	json_decref(request);
	return err;
}

/* Find out whose socket it is. 0 or -errno, said. */
static int identify(const struct options *options, bool chosen[DAEMONS])
{
	json_t *result;
	char *error;
	int err = ask(options, options->socket, "version", NULL, &result, &error);
	const char *title = json_string_value(json_object_get(result, "daemon"));

	for (int i = 0; i < DAEMONS && title; i++)
		chosen[i] = strcmp(title, daemons[i].title) == 0;
	if (!err && !chosen[DAEMON_HOST] && !chosen[DAEMON_ENGINED])
		err = -EPROTO;
	if (err)
		fprintf(stderr, "vcryptoctl: %s\n",
		        error ? error : "not the control socket of a vcrypto daemon");
	json_decref(result);
	free(error);
	return err;
}

struct answer {
	bool asked;
	int err;
	json_t *result;
	char *error;
	char path[PATH_MAX];
};

static void ask_all(const struct options *options, struct answer answers[DAEMONS])
{
	const struct command *command = options->command;

	for (int i = 0; i < DAEMONS; i++) {
		struct answer *answer = &answers[i];
		char name[32];

		if (!options->chosen[i])
			continue;
		answer->asked = true;
		snprintf(name, sizeof(name), "%s.ctl", daemons[i].name);
		if (options->socket)
			snprintf(answer->path, sizeof(answer->path), "%s", options->socket);
		else
			answer->err = runtime_path(name, answer->path, sizeof(answer->path));
		if (!answer->err)
			answer->err = ask(options, answer->path, command->name, options->more,
			                  &answer->result, &answer->error);
		if (!answer->err && command->lasts && options->wait_ns)
			answer->err = change_wait(answer->path, options->more, options->wait_ns,
			                          &answer->result, &answer->error);
	}
}

static void print_failure(FILE *stream, int daemon, const struct answer *answer)
{
	if (is_absent(answer->err))
		fprintf(stream, "%s: not running (nobody listens at %s)\n", daemons[daemon].title,
		        answer->path);
	else
		fprintf(stream, "%s: %s\n", daemons[daemon].title,
		        answer->error ? answer->error : strerror(-answer->err));
}

static void print_text(const struct command *command, const struct answer answers[DAEMONS],
                       bool any)
{
	bool titled =
		!command->headless && command->show[DAEMON_HOST] && command->show[DAEMON_ENGINED];

	for (int i = 0; i < DAEMONS; i++) {
		if (!answers[i].asked || !command->show[i])
			continue;
		if (answers[i].err) {
			print_failure(any && is_absent(answers[i].err) ? stdout : stderr, i,
			              &answers[i]);
			continue;
		}
		if (titled)
			printf("%s:\n", daemons[i].title);
		command->show[i](answers[i].result);
		if (i == DAEMON_HOST && command->spaced && answers[DAEMON_ENGINED].asked)
			putchar('\n');
	}
}

/* One daemon: its result. Several: an object of them, null for one that is not there. */
static void print_json(const struct answer answers[DAEMONS], bool single)
{
	json_t *all = json_object();

	for (int i = 0; i < DAEMONS; i++) {
		if (!answers[i].asked)
			continue;
		if (answers[i].err)
			print_failure(stderr, i, &answers[i]);
		json_object_set(all, daemons[i].name,
		                answers[i].result ? answers[i].result : json_null());
		if (single && answers[i].result) {
			json_decref(all);
			all = json_incref(answers[i].result);
		}
	}
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(all);
}

/* Which daemons to ask. 0 or the exit status. */
static int choose(struct options *options, bool *single)
{
	const struct command *command = options->command;
	bool *chosen = options->chosen;

	*single = options->socket || chosen[DAEMON_HOST] || chosen[DAEMON_ENGINED];
	if (options->socket && !chosen[DAEMON_HOST] && !chosen[DAEMON_ENGINED] &&
	    identify(options, chosen))
		return EXIT_FAILURE;
	for (int i = 0; i < DAEMONS; i++) {
		if (!*single)
			chosen[i] = command->show[i];
		else if (chosen[i] && !command->show[i])
			return usage_error(i == DAEMON_HOST ? "%s is not of vcrypto-host"
			                                    : "%s is not of vcrypto-engined",
			                   command->name);
	}
	/* Of a command that only one daemon knows there is nothing to tell apart. */
	if (!command->show[DAEMON_HOST] || !command->show[DAEMON_ENGINED])
		*single = true;
	return 0;
}

static int run_local(const struct options *options)
{
	const struct pci_options pci = {
		.root = PCI_SYSFS_ROOT,
		.address = options->argument,
		.driver = options->driver,
		.json = options->json,
	};

	if (options->socket || options->chosen[DAEMON_HOST] || options->chosen[DAEMON_ENGINED])
		return usage_error("%s asks no daemon", options->command->name);
	return options->command->local(&pci);
}

int main(int argc, char **argv)
{
	static struct answer answers[DAEMONS];
	struct options options = {0};
	bool single;
	bool any = false;
	bool refused = false;
	int status = parse_options(argc, argv, &options);

	if (status)
		return status - 1;
	status = parse_command(argc, argv, &options);
	if (!status && options.command->local)
		return run_local(&options);
	if (!status)
		status = choose(&options, &single);
	if (status)
		goto out;
	ask_all(&options, answers);
	for (int i = 0; i < DAEMONS; i++) {
		any = any || answers[i].result;
		refused = refused || (answers[i].err && !is_absent(answers[i].err));
	}
	if (!options.json)
		print_text(options.command, answers, any);
	else if (any || !single)
		print_json(answers, single);
	else
		print_text(options.command, answers, false);
	for (int i = 0; i < DAEMONS; i++) {
		json_decref(answers[i].result);
		free(answers[i].error);
	}
	if (!any || refused || ferror(stdout) || fflush(stdout))
		status = EXIT_FAILURE;
out:
	json_decref(options.more);
	return status;
}
