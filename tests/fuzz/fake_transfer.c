/* fake_transfer.c - responses made of a fuzzer's bytes. */
#include "config.h"

#include <sys/queue.h>

#include "tests/fuzz/fake_transfer.h"
#include "tests/fuzz/fuzz.h"

enum { SEND_MAX = 1024 };

struct transfer {
	TAILQ_ENTRY(transfer) link;
	struct transfer_engine *engine;
	const struct transfer_handler *handler;
	void *arg;
	bool sends;		/* has content that the handler gives */
	bool sends_later;
	bool has_head;
	bool must_break;	/* the handler did not want the head */
	bool waits;		/* for transfer_resume_receive */
	bool is_over;		/* aborted, or done was called */
};

struct transfer_engine {
	TAILQ_HEAD(, transfer) transfers;
	size_t count;
};

struct transfer_peer {
	struct transfer_engine *engine;
};

struct transfer_engine *
fake_transfer_engine(void)
{
	struct transfer_engine *e = calloc(1, sizeof(*e));

	must(e != NULL);
	TAILQ_INIT(&e->transfers);
	return e;
}

static void
drop(struct transfer *t)
{
	TAILQ_REMOVE(&t->engine->transfers, t, link);
	t->engine->count--;
	free(t);
}

void
fake_transfer_free(struct transfer_engine *e)
{
	struct transfer *t;

	/* Whoever started one has ended it. */
	while ((t = TAILQ_FIRST(&e->transfers)) != NULL) {
		must(t->is_over);
		drop(t);
	}
	free(e);
}

/* Some heads that matter, and any. */
static void
say_head(struct transfer *t, unsigned choice, struct span *in)
{
	static const char frames[] = "HTTP/1.1 200 OK\r\nContent-Type: "
	    "application/vnd.inverting-proxy.frames\r\n\r\n";
	static const char *const known[] = { frames,
		"HTTP/1.1 200 OK\r\nX-Inverting-Proxy-User-ID: u\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
	};
	struct span head = choice < sizeof(known) / sizeof(*known) ?
	    span_str(known[choice]) : fuzz_piece(in);

	t->has_head = true;
	if (t->handler->head != NULL && !t->handler->head(t->arg,
	    choice < 10 ? 200 : 100 + (int)choice * 4, head))
		t->must_break = true;
}

static void
say_content(struct transfer *t, struct span content)
{
	if (!t->has_head || t->waits || t->must_break ||
	    t->handler->content == NULL)
		return;
	/* It comes from the network: a copy that ends where it ends. */
	char *copy = malloc(content.len + 1);

	must(copy != NULL);
	if (content.len > 0)
		memcpy(copy, content.data, content.len);
	if (!t->handler->content(t->arg, span_of(copy, content.len)) &&
	    !t->is_over)
		t->waits = true;
	free(copy);
}

static void
ask_content(struct transfer *t)
{
	char into[SEND_MAX];
	long n;

	if (!t->sends || t->sends_later || t->must_break)
		return;
	n = t->handler->send(t->arg, into, sizeof(into));
	must(n <= (long)sizeof(into) && n >= TRANSFER_SEND_BREAK);
	if (t->is_over)
		return;
	if (n > 0)
		fuzz_touch(span_of(into, (size_t)n));
	t->sends = n > 0 || n == TRANSFER_SEND_LATER;
	t->sends_later = n == TRANSFER_SEND_LATER;
	t->must_break = n == TRANSFER_SEND_BREAK;
}

static void
say_done(struct transfer *t, unsigned choice)
{
	const struct transfer_result result = {
		.outcome = t->must_break ? TRANSFER_BROKEN : !t->has_head &&
		    (choice & 3) == TRANSFER_COMPLETE ? TRANSFER_UNREACHABLE :
		    (enum transfer_outcome)(choice & 3),
		.status = !t->has_head ? 0 : (choice >> 2) == 0 ? 200 :
		    100 + (int)(choice >> 2) * 8,
		.why = "it is said so",
	};

	t->is_over = true;
	t->handler->done(t->arg, &result);
}

void
fake_transfer_step(struct transfer_engine *e, struct span *in)
{
	const unsigned what = fuzz_byte(in);
	size_t skip = what >> 3;
	struct transfer *t = TAILQ_FIRST(&e->transfers);

	if (t == NULL)
		return;
	for (skip %= e->count; skip > 0; skip--)
		t = TAILQ_NEXT(t, link);
	/* Nothing is heard of one that is over, and it is freed here only,
	 * so that a handler may end it. */
	if (!t->is_over)
		switch (what & 7) {
		case 0:
		case 1:
			if (!t->has_head)
				say_head(t, fuzz_byte(in), in);
			break;
		case 2:
		case 3:
		case 4:
			say_content(t, fuzz_piece(in));
			break;
		case 5:
			ask_content(t);
			break;
		default:
			say_done(t, fuzz_byte(in));
			break;
		}
	if (t->is_over)
		drop(t);
}

/* --- transfer.h --- */

struct transfer_peer *
transfer_peer_new(struct transfer_engine *engine,
    const struct transfer_peer_settings *settings)
{
	struct transfer_peer *peer = calloc(1, sizeof(*peer));

	must(peer != NULL && settings->url != NULL);
	peer->engine = engine;
	return peer;
}

void
transfer_peer_free(struct transfer_peer *peer)
{
	free(peer);
}

struct transfer *
transfer_start(struct transfer_peer *peer,
    const struct transfer_request *request,
    const struct transfer_handler *handler, void *arg)
{
	struct transfer *t = calloc(1, sizeof(*t));

	must(t != NULL);
	for (size_t i = 0; i < request->fields->count; i++) {
		must(field_name_is_valid(request->fields->line[i].name));
		must(field_value_is_valid(request->fields->line[i].value));
	}
	must(http1_method_is_valid(request->method));
	fuzz_touch(request->target);
	fuzz_touch(request->content);
	*t = (struct transfer){ .engine = peer->engine, .handler = handler,
		.arg = arg, .sends = request->framing.kind !=
		    HTTP1_FRAMING_NONE && request->content.data == NULL };
	TAILQ_INSERT_TAIL(&peer->engine->transfers, t, link);
	peer->engine->count++;
	return t;
}

void
transfer_resume_receive(struct transfer *t)
{
	must(!t->is_over);
	t->waits = false;
}

void
transfer_resume_send(struct transfer *t)
{
	must(!t->is_over);
	t->sends_later = false;
}

void
transfer_abort(struct transfer *t)
{
	if (t == NULL)
		return;
	must(!t->is_over);
	t->is_over = true;
}

void
transfer_abort_connection(struct transfer *t)
{
	transfer_abort(t);
}

bool
transfer_url_is_valid(const char *url)
{
	return strncmp(url, "http://", 7) == 0;
}
