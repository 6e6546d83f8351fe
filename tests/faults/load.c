/* load.c - the clients of the fault runner, and their books. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http1_body.h"
#include "common/http1_head.h"
#include "tests/faults/load.h"

enum {
	ENTRIES_MAX = 1 << 20,
	ANSWER_MAX = 64 * 1024,
	FIELDS_MAX = 100,
	EVENTS = 64,
	TICK_MS = 5,
	PATIENCE_LONG_MS = 60000,
};

/* One connection for each request: whether a kept one may be used again is
 * another question, and the web server's. */
struct visitor {
	int fd;			/* -1: between two requests */
	unsigned number;
	struct buf out, in;
};

struct load {
	struct stack *stack;
	struct load_plan plan;
	struct load_entry *entry;
	struct visitor *visitor;
	int epoll;
	long long began_ns;
	atomic_uint begun, ended, running;
	atomic_bool stopping;
	pthread_t thread;
};

/* --- the backend's side --- */

static void
note_begin(struct load *l, struct load_entry *e)
{
	unsigned now = atomic_fetch_add(&e->running, 1) + 1;
	unsigned most = atomic_load(&e->together);

	atomic_fetch_add(&e->executions, 1);
	atomic_fetch_add(&l->running, 1);
	while (most < now &&
	    !atomic_compare_exchange_weak(&e->together, &most, now))
		;
}

static void
note_end(struct load *l, struct load_entry *e)
{
	atomic_fetch_sub(&e->running, 1);
	atomic_fetch_sub(&l->running, 1);
}

/* /load/NUMBER/NONCE */
static void
work(struct backend_connection *c, void *arg)
{
	struct load *l = arg;
	char *at = c->request->target + strlen("/load/");
	unsigned long number = strtoul(at, &at, 10);
	uint64_t nonce = *at == '/' ? strtoull(at + 1, NULL, 16) : 0;
	struct load_entry *e = &l->entry[number];
	char text[64];
	int len;

	if (number >= ENTRIES_MAX || e->nonce != nonce) {
		backend_printf(c, "HTTP/1.1 400 Not A Request Of Ours\r\n"
		    "Content-Length: 0\r\n\r\n");
		return;
	}
	note_begin(l, e);
	backend_read_content(c);
	/* Who has lost its agent works no longer. */
	if (l->plan.work_ms > 0)
		backend_wait_gone(c, (int)l->plan.work_ms);
	len = snprintf(text, sizeof(text), "%lu %016llx %llu", number,
	    (unsigned long long)nonce, c->request->content_len);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
	    len, text);
	note_end(l, e);
}

/* --- the clients' side --- */

static void
visitor_end(struct load *l, struct visitor *v, enum load_end end, int status)
{
	struct load_entry *e = &l->entry[v->number];

	e->ended_ns = now_ns();
	e->status = status;
	e->end = end;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	buf_clear(&v->out);
	buf_clear(&v->in);
	atomic_fetch_add(&l->ended, 1);
}

/* Is this the answer to that very request? */
static bool
is_own(const struct load *l, const struct visitor *v, struct span content)
{
	const struct load_entry *e = &l->entry[v->number];
	char text[64];

	snprintf(text, sizeof(text), "%u %016llx %u", v->number,
	    (unsigned long long)e->nonce, e->is_post ? 16 : 0);
	return span_is(content, span_str(text));
}

/* The head, and whether the content after it is whole; 0: no head. */
static int
read_answer(struct span in, struct buf *content, bool *whole,
    bool *has_retry_after)
{
	struct http1_framing framing;
	struct http1_response r;
	struct http1_body body;
	struct span piece;
	size_t head;
	int status;

	*whole = false;
	if (http1_head_find_end(in, 0, ANSWER_MAX, &head) != WIRE_DONE ||
	    http1_response_decode(span_of(in.data, head), FIELDS_MAX, &r) != 0)
		return 0;
	status = r.status;
	*has_retry_after = fields_find(&r.fields, "Retry-After") != NULL;
	if (http1_response_framing(&r, span_str("GET"), &framing) != 0)
		framing.kind = HTTP1_FRAMING_LENGTH;
	http1_response_clear(&r);
	http1_body_init(&body, framing);
	in = span_of(in.data + head, in.len - head);
	for (;;) {
		int done = http1_body_decode(&body, &in, &piece);

		if (buf_append_span(content, piece) != 0)
			abort();
		if (done != WIRE_MORE || (in.len == 0 && piece.len == 0))
			break;
	}
	*whole = http1_body_end(&body) == WIRE_DONE;
	return status;
}

/* No more will come. */
static void
judge(struct load *l, struct visitor *v)
{
	struct buf content;
	bool whole;
	int status;

	buf_init(&content, ANSWER_MAX);
	status = read_answer(buf_span(&v->in), &content, &whole,
	    &l->entry[v->number].has_retry_after);
	if (status == 0 || !whole)
		visitor_end(l, v, LOAD_BROKEN_OFF, status);
	else if (status == 200 && !is_own(l, v, buf_span(&content)))
		visitor_end(l, v, LOAD_WRONG, status);
	else
		visitor_end(l, v, LOAD_ANSWERED, status);
	buf_clear(&content);
}

static void
watch(struct load *l, struct visitor *v, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = v };

	if (epoll_ctl(l->epoll, operation, v->fd, &event) != 0)
		abort();
}

static void
write_request(struct load *l, struct visitor *v)
{
	const struct load_entry *e = &l->entry[v->number];

	buf_init(&v->out, ANSWER_MAX);
	buf_init(&v->in, ANSWER_MAX);
	if (buf_printf(&v->out, "%s /load/%u/%016llx HTTP/1.1\r\n"
	    "Host: proxy.test\r\nConnection: close\r\n",
	    e->is_post ? "POST" : "GET", v->number,
	    (unsigned long long)e->nonce) != 0 ||
	    buf_append_str(&v->out, e->is_post ?
	    "Content-Length: 16\r\n\r\n0123456789abcdef" : "\r\n") != 0)
		abort();
}

static void
begin(struct load *l, struct visitor *v)
{
	struct sockaddr_in a = harness_loopback(l->stack->port);
	struct load_entry *e;

	v->number = atomic_load(&l->begun);
	e = &l->entry[v->number];
	if (getrandom(&e->nonce, sizeof(e->nonce), 0) != sizeof(e->nonce))
		abort();
	e->is_post = v->number * 37 % 100 < l->plan.post_percent;
	e->began_ns = now_ns();
	atomic_fetch_add(&l->begun, 1);
	write_request(l, v);
	v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (v->fd < 0)
		abort();
	if (connect(v->fd, (struct sockaddr *)&a, sizeof(a)) != 0 &&
	    errno != EINPROGRESS)
		visitor_end(l, v, LOAD_BROKEN_OFF, 0);
	else
		watch(l, v, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
on_writable(struct load *l, struct visitor *v)
{
	ssize_t n = send(v->fd, buf_data(&v->out), buf_len(&v->out),
	    MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		judge(l, v);
		return;
	}
	if (n > 0)
		buf_drain(&v->out, (size_t)n);
	if (buf_len(&v->out) == 0)
		watch(l, v, EPOLL_CTL_MOD, EPOLLIN);
}

static void
on_readable(struct load *l, struct visitor *v)
{
	char bytes[4096];
	ssize_t n = recv(v->fd, bytes, sizeof(bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || buf_append(&v->in, bytes, (size_t)n) != 0)
		judge(l, v);
}

static bool
may_begin(const struct load *l)
{
	unsigned begun = atomic_load(&l->begun);

	if (atomic_load(&l->stopping) || begun == ENTRIES_MAX ||
	    (l->plan.requests > 0 && begun == l->plan.requests))
		return false;
	return l->plan.rate == 0 || (now_ns() - l->began_ns) / 1000 *
	    l->plan.rate / 1000000 >= begun;
}

static void
begin_and_end(struct load *l)
{
	long long late = now_ns() - (long long)l->plan.patience_ms * 1000000;

	for (unsigned i = 0; i < l->plan.connections; i++) {
		struct visitor *v = &l->visitor[i];

		if (v->fd >= 0 && l->entry[v->number].began_ns < late)
			visitor_end(l, v, LOAD_HUNG, 0);
		if (v->fd < 0 && may_begin(l))
			begin(l, v);
	}
}

static bool
is_over(const struct load *l)
{
	unsigned begun = atomic_load(&l->begun);

	return atomic_load(&l->ended) == begun &&
	    (atomic_load(&l->stopping) || begun == ENTRIES_MAX ||
	    (l->plan.requests > 0 && begun == l->plan.requests));
}

static void *
load_main(void *arg)
{
	struct load *l = arg;
	struct epoll_event event[EVENTS];

	while (!is_over(l)) {
		int n;

		begin_and_end(l);
		n = epoll_wait(l->epoll, event, EVENTS, TICK_MS);
		for (int i = 0; i < n; i++) {
			struct visitor *v = event[i].data.ptr;

			if (v->fd >= 0 && buf_len(&v->out) > 0)
				on_writable(l, v);
			else if (v->fd >= 0)
				on_readable(l, v);
		}
	}
	return NULL;
}

/* --- from outside --- */

/* Each client takes one here; the web server two, and it was started with the
 * limit of before. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct load *
load_start(struct stack *s, const struct load_plan *plan)
{
	struct load *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	l->stack = s;
	l->plan = *plan;
	raise_descriptor_limit();
	if (l->plan.patience_ms == 0)
		l->plan.patience_ms = PATIENCE_LONG_MS;
	l->entry = calloc(ENTRIES_MAX, sizeof(*l->entry));
	l->visitor = calloc(plan->connections, sizeof(*l->visitor));
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	check(l->entry != NULL && l->visitor != NULL && l->epoll >= 0,
	    "no memory for the load");
	for (unsigned i = 0; i < plan->connections; i++)
		l->visitor[i].fd = -1;
	l->began_ns = now_ns();
	backend_forget(s->backend, "/load/");
	backend_script(s->backend, "/load/", work, l);
	check(pthread_create(&l->thread, NULL, load_main, l) == 0,
	    "no thread for the load");
	return l;
}

void
load_wait(struct load *l)
{
	pthread_join(l->thread, NULL);
}

void
load_stop(struct load *l)
{
	atomic_store(&l->stopping, true);
	load_wait(l);
}

unsigned
load_begun(const struct load *l)
{
	return atomic_load(&l->begun);
}

void
load_go_on(const struct load *l, unsigned count)
{
	unsigned begun = load_begun(l);

	wait_for(load_begun(l) >= begun + count, 3 * PATIENCE_MS, "no load");
}

unsigned
load_ended(const struct load *l)
{
	return atomic_load(&l->ended);
}

unsigned
load_running(const struct load *l)
{
	return atomic_load(&l->running);
}

const struct load_entry *
load_entry(const struct load *l, unsigned number)
{
	return &l->entry[number];
}

/* --- the sum --- */

static int
compare_long(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long
entry_ms(const struct load_entry *e)
{
	return (long)((e->ended_ns - e->began_ns) / 1000000);
}

static void
count_status(struct load_sum *sum, const struct load_entry *e)
{
	switch (e->status) {
	case 200:
		sum->ok++;
		sum->lost += e->executions == 0;
		break;
	case 500:
		/* lighttpd's word for a worker that is gone */
		sum->broken_off++;
		break;
	case 502:
		sum->status_502++;
		sum->denied += e->executions == 0;
		break;
	case 503:
		sum->status_503++;
		break;
	case 504:
		sum->status_504++;
		break;
	default:
		sum->other_status++;
		break;
	}
}

static bool
is_ok(const struct load_entry *e)
{
	return e->end == LOAD_ANSWERED && e->status == 200;
}

struct load_sum
load_sum(const struct load *l)
{
	struct load_sum sum = { .requests = load_begun(l) };
	long *ms = calloc(sum.requests + 1, sizeof(*ms));
	size_t count = 0;

	if (ms == NULL)
		abort();
	for (unsigned i = 0; i < sum.requests; i++) {
		const struct load_entry *e = &l->entry[i];

		if (e->end == LOAD_ANSWERED)
			count_status(&sum, e);
		if (is_ok(e))
			ms[count++] = entry_ms(e);
		sum.broken_off += e->end == LOAD_BROKEN_OFF;
		sum.hung += e->end == LOAD_HUNG;
		sum.wrong += e->end == LOAD_WRONG;
		sum.doubled += e->executions > (e->is_post ? 1 : 2);
		sum.repeated += !e->is_post && e->executions == 2;
		sum.together += e->together > 1;
		if (entry_ms(e) > sum.slowest_ms)
			sum.slowest_ms = entry_ms(e);
	}
	qsort(ms, count, sizeof(*ms), compare_long);
	if (count > 0) {
		sum.p50_ms = ms[count / 2];
		sum.p99_ms = ms[count * 99 / 100];
	}
	free(ms);
	return sum;
}

long
load_recovery_ms(const struct load *l, long long from_ns)
{
	long long last = from_ns;

	for (unsigned i = 0; i < load_begun(l); i++)
		if (!is_ok(&l->entry[i]) && l->entry[i].began_ns > last)
			last = l->entry[i].began_ns;
	return (long)((last - from_ns) / 1000000);
}

long
load_decided_ms(const struct load *l, long long from_ns)
{
	long long last = from_ns;

	for (unsigned i = 0; i < load_begun(l); i++)
		if (l->entry[i].began_ns < from_ns &&
		    l->entry[i].ended_ns > last)
			last = l->entry[i].ended_ns;
	return (long)((last - from_ns) / 1000000);
}
