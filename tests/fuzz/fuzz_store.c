/* fuzz_store.c - any bytes from Redis on each of the three connections: the
 * store hands on whole replies, loses the connection or waits; whoever asked
 * is told once.  The input is pieces, each with the connection in front. */
#include "config.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/store.h"
#include "tests/fuzz/fuzz.h"

enum { CONNECTIONS = 3, TURNS_MAX = 64 };

static char path[64];
static int listener = -1;
static int peer[CONNECTIONS];
static unsigned asked, told, depth;

static void
listen_once(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (listener >= 0)
		return;
	snprintf(path, sizeof(path), "/tmp/fuzz_store.%d", (int)getpid());
	memcpy(name.sun_path, path, sizeof(path));
	(void)unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(listener >= 0 && bind(listener, (const struct sockaddr *)&name,
	    sizeof(name)) == 0 && listen(listener, 8) == 0);
}

static void
unlink_path(void)
{
	(void)unlink(path);
}

static void
walk(const struct store_reply *r)
{
	must(++depth < 16);
	fuzz_touch(r->string);
	for (size_t i = 0; i < r->count; i++)
		walk(&r->element[i]);
	depth--;
}

/* How it is used: see fuzz_registry, fuzz_mailbox, fuzz_hand_out. */
static void
on_reply(void *arg, const struct store_reply *reply)
{
	(void)arg;
	walk(reply);
	told++;
}

static void
on_message(void *arg, struct span channel, struct span payload)
{
	(void)arg;
	fuzz_touch(channel);
	fuzz_touch(payload);
}

static void
on_popped(void *arg, struct span element)
{
	(void)arg;
	fuzz_touch(element);
}

static void
ask(struct store *s)
{
	static struct store_script script = { .text = "return 1" };
	const struct span argv[] = { span_str("GET"), span_str("a") };

	asked += 3;
	store_command(s, on_reply, NULL, 2, argv);
	store_script(s, &script, on_reply, NULL, 1, 2, argv);
	store_subscribe(s, span_str("channel"), on_reply, NULL);
}

static void
drop(int i)
{
	if (peer[i] >= 0)
		close(peer[i]);
	peer[i] = -1;
}

/* Connections come in an order of their own; one that ends is replaced. */
static void
accept_all(void)
{
	for (int i = 0; i < CONNECTIONS; i++)
		if (peer[i] < 0)
			peer[i] = accept(listener, NULL, NULL);
}

static void
turn(struct ev_loop *loop, struct store *s, struct span *in)
{
	char sink[4096];
	const unsigned choice = fuzz_byte(in);
	const int i = (int)(choice % CONNECTIONS);
	struct span piece = fuzz_piece(in);

	accept_all();
	if (choice & 0x80)
		ask(s);
	if (peer[i] >= 0 && piece.len > 0)
		(void)!send(peer[i], piece.data, piece.len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (choice & 0x40)
		drop(i);
	ev_run(loop, EVRUN_NOWAIT);
	for (int j = 0; j < CONNECTIONS; j++)
		while (peer[j] >= 0 && recv(peer[j], sink, sizeof(sink),
		    MSG_DONTWAIT) > 0)
			;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	const struct store_settings settings = { .address = path,
		.timeout_ms = 60000 };
	const struct store_handler handler = { .message = on_message,
		.popped = on_popped };
	struct span in = span_of(data, size);
	const char *error;
	struct store *s;

	if (loop == NULL) {
		fuzz_log_nowhere();
		must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
		listen_once();
		must(atexit(unlink_path) == 0);
	}
	for (int i = 0; i < CONNECTIONS; i++)
		peer[i] = -1;
	asked = told = 0;
	s = store_new(loop, &settings, &handler, &error);
	must(s != NULL);
	store_pop_from(s, span_str("list"));
	ev_run(loop, EVRUN_NOWAIT);
	for (int n = 0; n < TURNS_MAX && in.len > 0; n++)
		turn(loop, s, &in);
	store_free(s);
	must(asked == told);
	accept_all();
	for (int i = 0; i < CONNECTIONS; i++)
		drop(i);
	return 0;
}
