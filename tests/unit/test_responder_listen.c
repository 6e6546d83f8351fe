/* test_responder_listen.c - sockets that the web server connects to. */
#include "config.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/web_server.h"

TestSuite(responder_listen, .timeout = 10);

Test(responder_listen, makes_a_socket_with_the_mode_it_is_given)
{
	const char *error = NULL;
	const char *path = address + 5;
	struct stat st;
	make_directory();
	umask(077);
	int fd = responder_listen(path, 0666, 5, &error);
	cr_assert_geq(fd, 0, "%s", error);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0666);
	cr_assert_eq(umask(0), 077);

	cr_assert_eq(responder_listen(path, 0666, 5, &error), -1);
	cr_assert_not_null(strstr(error, "another process"), "%s", error);
	close(fd);
	fd = responder_listen(path, 0600, 5, &error);
	cr_assert_geq(fd, 0, "a stale one: %s", error);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	close(fd);
	unlink(path);

	close(open(path, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(responder_listen(path, 0600, 5, &error), -1);
	cr_assert_not_null(strstr(error, "not a socket"), "%s", error);
	cr_assert_eq(access(path, F_OK), 0);
	unlink(path);
	remove_directory();
}

Test(responder_listen, listens_on_tcp_in_both_families)
{
	static const char *const good[] = { "127.0.0.1:0", "[::1]:0", ":0",
		"localhost:0" };
	const char *error = NULL;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int fd = responder_listen(good[i], 0, 5, &error);
		cr_assert_geq(fd, 0, "%s", error);
		cr_assert_eq(dup2(fd, 0), 0);
		cr_assert(responder_is_inherited());
		close(fd);
	}
}

Test(responder_listen, says_what_is_wrong_with_an_address)
{
	char long_path[200] = "unix:/";
	memset(long_path + 6, 'a', 150);
	const char *const bad[] = { "", "nonsense", "::1:80", "host:",
		"unix:", "/no/such/directory/socket", "127.0.0.1:port",
		"127.0.0.1:65536", "127.0.0.1:1x", long_path };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *error = NULL;
		cr_assert_eq(responder_listen(bad[i], 0600, 5, &error), -1);
		cr_assert_not_null(error);
	}
}

Test(responder_listen, knows_which_peers_may_call)
{
	static const struct {
		const char *allowed;
		bool is_allowed;
	} row[] = {
		{ NULL, true }, { "", true }, { "127.0.0.1", true },
		{ "10.0.0.1, 127.0.0.1", true }, { "127.0.0.1,::1", true },
		{ "10.0.0.1", false }, { "127.0.0.11", false },
		{ "127.0.0.", false }, { ",", false },
	};
	static const char *const at[] = { "127.0.0.1:0", ":0" };
	for (size_t i = 0; i < 2; i++) {
		const char *error = NULL;
		struct sockaddr_storage any;
		struct sockaddr_in name = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(any);
		int listener = responder_listen(at[i], 0, 5, &error);
		cr_assert_geq(listener, 0, "%s", error);
		getsockname(listener, (struct sockaddr *)&any, &len);
		/* The port is at the same place in both families. */
		name.sin_port = ((struct sockaddr_in *)&any)->sin_port;
		int near = socket(AF_INET, SOCK_STREAM, 0);
		cr_assert_eq(connect(near, (struct sockaddr *)&name,
		    sizeof(name)), 0);
		int fd = accept(listener, NULL, NULL);
		for (size_t k = 0; k < sizeof(row) / sizeof(row[0]); k++)
			cr_assert_eq(responder_peer_is_allowed(fd,
			    row[k].allowed), row[k].is_allowed, "%zu", k);
		close(fd);
		close(near);
		close(listener);
	}
}
