/* test_store_start.c - how the store finds its Redis, logs in, and takes what
 * is not Redis. */
#include "config.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/store_address.h"
#include "tests/unit/store_client.h"

TestSuite(store_start, .init = set_up_without_client, .fini = tear_down_client,
    .timeout = 30);

Test(store_start, waits_for_a_redis_that_comes_later)
{
	struct answer a = { .calls = 0 };

	store_start(NULL, NULL);
	command(&a, "PING");
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_LOST);
	cr_expect(strlen(store_why_down(client.store)) > 0);
	redis_start(NULL, NULL);
	wait_for(&client.ups, 1);
	cr_expect_eq(client.downs, 0);
	cr_expect_str_eq(store_why_down(client.store), "");
}

Test(store_start, logs_in_with_a_password)
{
	redis_start("--requirepass", "pass word");
	store_start(NULL, "pass word");
	wait_for(&client.ups, 1);
	cr_expect_eq(ask("PING").kind, STORE_STRING);
}

Test(store_start, logs_in_as_a_user)
{
	redis_start(NULL, NULL);
	store_start(NULL, NULL);
	wait_for(&client.ups, 1);
	/* Not even PING is needed to be let in. */
	cr_assert_eq(ask("ACL SETUSER worker on >secret +@all -ping").kind,
	    STORE_STRING);
	store_free(client.store);
	store_start("worker", "secret");
	wait_for(&client.ups, 2);
	const struct answer a = ask("ACL WHOAMI");

	cr_expect_str_eq(a.text, "worker");
}

/* Reads back what is logged as Redis turns us away. */
Test(store_start, says_why_redis_turns_it_away_but_never_the_password)
{
	char path[128], text[4096];
	struct answer a = { .calls = 0 };
	FILE *log;

	snprintf(path, sizeof(path), "%s/log", client.redis.dir);
	log_open("test_store", path, LOG_LEVEL_WARN, false);
	redis_start("--requirepass", "right");
	store_start(NULL, "mistaken-secret");
	for (int i = 1;
	    strstr(store_why_down(client.store), "WRONGPASS") == NULL; i++) {
		cr_assert_lt(i, 2000);
		command(&a, "PING");
		wait_for(&a.calls, i);
		usleep(1000);
	}
	log = fopen(path, "r");
	cr_assert_not_null(log);
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	fclose(log);
	unlink(path);
	cr_expect_not_null(strstr(text, "WRONGPASS"));
	cr_expect_not_null(strstr(text, client.redis.address));
	cr_expect_null(strstr(text, "mistaken-secret"));
	cr_expect_eq(client.ups, 0);
}

Test(store_start, refuses_addresses_that_it_cannot_read)
{
	static const char *const bad[] = { "", "host:", "host:0", "host:65536",
		"host:6379x", "::1", "[::1", "[::1]6379", "unix:", "unix:rel",
		"redis://h/x", "redis://u:p@h", "rediss://h", "redis://h:x",
		("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct store_settings settings = { .address = bad[i],
			.timeout_ms = 1000 };
		const char *error = NULL;

		cr_expect_null(store_new(client.loop, &settings, NULL, &error),
		    "took \"%s\"", bad[i]);
		cr_expect_not_null(error);
	}
}

Test(store_start, takes_addresses_of_every_form)
{
	static const struct {
		const char *text, *host, *port, *user;
		long database;
	} good[] = {
		{ "localhost", "localhost", "6379", NULL, 0 },
		{ "h:1", "h", "1", NULL, 0 },
		{ ":7000", "127.0.0.1", "7000", NULL, 0 },
		{ "[::1]:7000", "::1", "7000", NULL, 0 },
		{ "[::1]", "::1", "6379", NULL, 0 },
		{ "unix:/a/b", "/a/b", NULL, NULL, 0 },
		{ "/a/b", "/a/b", NULL, NULL, 0 },
		{ "redis://h", "h", "6379", NULL, 0 },
		{ "redis://u@h:1/5", "h", "1", "u", 5 },
		{ "redis://@[::1]:1/", "::1", "1", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct store_address a;
		const char *error = NULL;

		cr_assert_eq(store_address_parse(&a, good[i].text, &error), 0,
		    "%s: %s", good[i].text, error);
		cr_expect_str_eq(a.text, good[i].text);
		cr_expect_str_eq(a.host, good[i].host);
		cr_expect_eq(a.is_unix, good[i].port == NULL);
		if (good[i].port != NULL)
			cr_expect_str_eq(a.port, good[i].port);
		cr_expect_eq(a.user == NULL, good[i].user == NULL);
		if (good[i].user != NULL && a.user != NULL)
			cr_expect_str_eq(a.user, good[i].user);
		cr_expect_eq(a.database, good[i].database);
		store_address_clear(&a);
	}
}

/* --- a server that is not Redis --- */

static void
serve_text(const char *text)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, client.redis.socket,
	    strlen(client.redis.socket) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	if ((client.redis.pid = fork()) != 0) {
		close(fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		const int peer = accept(fd, NULL, NULL);

		if (write(peer, text, strlen(text)) < 0)
			_exit(1);
	}
}

/* Whatever the peer says, the store stays down, or up, but sane. */
Test(store_start, survives_a_peer_that_is_not_redis)
{
	static const char *const text[] = { "HTTP/1.1 400 Bad Request\r\n\r\n",
		"$-5\r\n", "*99999999999999999999\r\n", "$5\r\nab", ":x\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
		"+PONG\r\n+PONG\r\n", "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n",
		"*0\r\n*-1\r\n", "-ERR max number of clients reached\r\n" };

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		serve_text(text[i]);
		store_start(NULL, NULL);
		store_pop_from(client.store, span_str("box"));
		for (int turn = 0; turn < 12; turn++) {
			ev_run(client.loop, EVRUN_NOWAIT);
			usleep(5 * 1000);
		}
		cr_expect_eq(client.popped_count, 0);
		store_free(client.store);
		client.store = NULL;
		own_redis_stop(&client.redis);
		unlink(client.redis.socket);
	}
}
