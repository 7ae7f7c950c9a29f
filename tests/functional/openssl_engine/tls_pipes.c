/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS 1.2 transfer whose records go through the ENGINE several at a time:
 *
 *   test-engine-tls CERTIFICATE KEY SUITE PIPELINES FRAGMENT SIZE [async]
 *
 * The server (this process) has the ENGINE that OPENSSL_CONF loads as its default, sends SIZE bytes
 * and reads as many back, in pipelines of so many records of FRAGMENT bytes; async: in jobs. The
 * client is a child without the ENGINE, and compares. Prints the milliseconds that the server's
 * writing took. Exit status 0: every byte arrived both ways.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>

#include "openssl/cases.h"

struct settings {
	const char *certificate, *key, *suite;
	unsigned int pipelines, fragment;
	size_t size;
	bool async;
};

static SSL *open_tls(const struct settings *s, bool server, int socket)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL *ssl = NULL;

	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_ENCRYPT_THEN_MAC);
	if (SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_cipher_list(ctx, s->suite) &&
	    (!server || (SSL_CTX_use_certificate_file(ctx, s->certificate, SSL_FILETYPE_PEM) == 1 &&
	                 SSL_CTX_use_PrivateKey_file(ctx, s->key, SSL_FILETYPE_PEM) == 1 &&
	                 SSL_CTX_set_max_pipelines(ctx, s->pipelines) &&
	                 SSL_CTX_set_split_send_fragment(ctx, s->fragment))))
		ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	if (!ssl || !SSL_set_fd(ssl, socket)) {
		SSL_free(ssl);
		return NULL;
	}
	if (server && s->async)
		SSL_set_mode(ssl, SSL_MODE_ASYNC);
	return ssl;
}

/* rc is what a call on ssl has returned. Whether it is to be repeated, as its job has come on. */
static bool again(SSL *ssl, int rc)
{
	OSSL_ASYNC_FD fd;
	size_t n = 1;
	fd_set set;

	if (SSL_get_error(ssl, rc) != SSL_ERROR_WANT_ASYNC)
		return false;
	if (!SSL_get_all_async_fds(ssl, NULL, &n) || n != 1 || !SSL_get_all_async_fds(ssl, &fd, &n))
		return false;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, NULL) > 0;
}

static bool hand_shake(SSL *ssl, bool server)
{
	int rc;

	do {
		rc = server ? SSL_accept(ssl) : SSL_connect(ssl);
	} while (rc != 1 && again(ssl, rc));
	return rc == 1;
}

static bool write_all(SSL *ssl, const uint8_t *data, size_t size)
{
	size_t done = 0, n;
	int rc;

	while (done < size) {
		rc = SSL_write_ex(ssl, data + done, size - done, &n);
		if (rc == 1)
			done += n;
		else if (!again(ssl, rc))
			return false;
	}
	return true;
}

static bool read_all(SSL *ssl, uint8_t *data, size_t size)
{
	size_t done = 0, n;
	int rc;

	while (done < size) {
		rc = SSL_read_ex(ssl, data + done, size - done, &n);
		if (rc == 1)
			done += n;
		else if (!again(ssl, rc))
			return false;
	}
	return true;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static bool serve(const struct settings *s, int socket, const uint8_t *data, uint8_t *back)
{
	ENGINE *e = ENGINE_by_id("vcrypto");
	double start;
	SSL *ssl;

	CHECK(e && ENGINE_set_default(e, ENGINE_METHOD_ALL));
	ssl = open_tls(s, true, socket);
	CHECK(ssl);
	/* What is read in pipelines has to be there. */
	SSL_set_read_ahead(ssl, 1);
	SSL_set_default_read_buffer_len(ssl, (size_t)s->pipelines * (16384 + 512));
	CHECK(hand_shake(ssl, true));
	start = milliseconds();
	CHECK(write_all(ssl, data, s->size));
	printf("%.0f\n", milliseconds() - start);
	fflush(stdout);
	CHECK(read_all(ssl, back, s->size) && !memcmp(data, back, s->size));
	SSL_free(ssl);
	/* Its defaults hold the other references. */
	ENGINE_free(e);
	return true;
}

static bool use(const struct settings *s, int socket, const uint8_t *data, uint8_t *back)
{
	SSL *ssl;

	CHECK(!ENGINE_get_cipher_engine(NID_aes_128_cbc) && !ENGINE_get_default_RSA());
	ssl = open_tls(s, false, socket);
	CHECK(ssl && hand_shake(ssl, false));
	CHECK(!strcmp(SSL_get_cipher_name(ssl), s->suite));
	CHECK(read_all(ssl, back, s->size) && !memcmp(data, back, s->size));
	CHECK(write_all(ssl, data, s->size));
	SSL_free(ssl);
	return true;
}

static bool run(const struct settings *s)
{
	uint8_t *data = malloc(s->size), *back = malloc(s->size);
	int sockets[2], status = -1;
	bool ok;
	pid_t pid;

	CHECK(data && back && !socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	test_fill(data, s->size);
	pid = fork();
	CHECK(pid >= 0);
	ok = pid ? serve(s, sockets[0], data, back) : use(s, sockets[1], data, back);
	if (!ok)
		ERR_print_errors_fp(stderr);
	close(sockets[0]);
	close(sockets[1]);
	free(data);
	free(back);
	if (!pid)
		exit(ok ? 0 : 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	return ok && status == 0;
}

int main(int argc, char **argv)
{
	struct settings s;

	if (argc < 7)
		return 2;
	s = (struct settings){
		.certificate = argv[1],
		.key = argv[2],
		.suite = argv[3],
		.pipelines = (unsigned int)atoi(argv[4]),
		.fragment = (unsigned int)atoi(argv[5]),
		.size = strtoul(argv[6], NULL, 10),
		.async = argc > 7,
	};
	OPENSSL_init_ssl(0, NULL);
	return run(&s) ? 0 : 1;
}
