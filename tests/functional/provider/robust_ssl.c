/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios of test-provider-robust: libssl. See robust_main.c.
 */
#include "robust.h"

#include <poll.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#define LEFT 40u

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1,
	                           0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	if (!X509_sign(cert, key, EVP_sha256())) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

/* Client and server in one process, with pipes of memory between them. */
struct link {
	SSL *client, *server;
};

static bool link_open(SSL_CTX *client, SSL_CTX *server, struct link *link)
{
	BIO *one = NULL, *other = NULL;

	link->client = SSL_new(client);
	link->server = SSL_new(server);
	CHECK(link->client && link->server && BIO_new_bio_pair(&one, 0, &other, 0) == 1);
	SSL_set_bio(link->client, one, one);
	SSL_set_bio(link->server, other, other);
	SSL_set_connect_state(link->client);
	SSL_set_accept_state(link->server);
	return true;
}

static void link_close(struct link *link)
{
	SSL_free(link->client);
	SSL_free(link->server);
}

static bool wait_for(SSL *ssl)
{
	struct pollfd p = {.events = POLLIN};
	size_t n = 0;

	CHECK(SSL_get_all_async_fds(ssl, NULL, &n) && n == 1);
	CHECK(SSL_get_all_async_fds(ssl, &p.fd, &n));
	return poll(&p, 1, 20000) == 1;
}

/* As far as the server's first pause (paused), or to the end. */
static bool shake_hands(struct link *link, bool until_paused)
{
	int client = 0, server = 0;

	for (unsigned int i = 0; i < 1000 && (client != 1 || server != 1); i++) {
		client = SSL_do_handshake(link->client);
		CHECK(client == 1 || SSL_get_error(link->client, client) == SSL_ERROR_WANT_READ);
		server = SSL_do_handshake(link->server);
		if (server == 1)
			continue;
		if (SSL_get_error(link->server, server) == SSL_ERROR_WANT_ASYNC) {
			if (until_paused)
				return true;
			CHECK(wait_for(link->server));
		} else {
			CHECK(SSL_get_error(link->server, server) == SSL_ERROR_WANT_READ);
		}
	}
	CHECK(client == 1 && server == 1 && !until_paused);
	return true;
}

/* A record each way; those of the server in jobs. */
static bool talk(struct link *link)
{
	static uint8_t sent[PIECE], got[PIECE];
	int n;

	test_fill(sent, sizeof(sent));
	while ((n = SSL_write(link->server, sent, sizeof(sent))) <= 0)
		CHECK(SSL_get_error(link->server, n) == SSL_ERROR_WANT_ASYNC &&
		      wait_for(link->server));
	CHECK(n == PIECE && SSL_read(link->client, got, sizeof(got)) == PIECE);
	return !memcmp(sent, got, sizeof(sent));
}

/* Connections that are closed while a job of theirs waits, and others that go on. */
bool ssl_free_paused(char **arguments)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	X509 *cert = make_certificate(key);
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	SSL_CTX *server = SSL_CTX_new(TLS_server_method());
	unsigned int files = 0;
	struct link link;

	CHECK(key && cert && client && server);
	SSL_CTX_set_mode(server, SSL_MODE_ASYNC);
	CHECK(SSL_CTX_use_certificate(server, cert) && SSL_CTX_use_PrivateKey(server, key));
	for (unsigned int i = 0; i < LEFT; i++) {
		CHECK(link_open(client, server, &link) && shake_hands(&link, true));
		link_close(&link);
		if (i == LEFT / 4)
			files = open_files();
	}
	CHECK(open_files() <= files);
	for (unsigned int i = 0; i < 5; i++) {
		CHECK(link_open(client, server, &link) && shake_hands(&link, false));
		CHECK(talk(&link));
		link_close(&link);
	}
	CHECK(provider_count("vcrypto-offloaded") > 0);
	SSL_CTX_free(client);
	SSL_CTX_free(server);
	X509_free(cert);
	EVP_PKEY_free(key);
	return true;
}
