/* responder_call.c - what the handler may do with a call.  Once the call is
 * over (conn is NULL) everything here does nothing. */
#include "config.h"

#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "fcgi/responder_private.h"

const char *
call_param(const struct call *call, const char *name)
{
	size_t len = strlen(name);
	for (char *const *p = call->params; *p != NULL; p++)
		if ((*p)[0] == name[0] && strncmp(*p, name, len) == 0 &&
		    (*p)[len] == '=')
			return *p + len + 1;
	return NULL;
}

bool
call_is_from_apache(const struct call *call)
{
	const char *software = call_param(call, "SERVER_SOFTWARE");
	return software != NULL && strncmp(software, "Apache", 6) == 0;
}

char *const *
call_params(const struct call *call)
{
	return call->params;
}

void
call_set_data(struct call *call, void *data)
{
	call->data = data;
}

void
call_set_kind(struct call *call, int kind)
{
	call->kind = kind;
}

int
call_kind(const struct call *call)
{
	return call->kind;
}

void *
call_data(const struct call *call)
{
	return call->data;
}

unsigned long long
call_number(const struct call *call)
{
	return call->number;
}

bool
call_is_unclaimed(const struct call *call)
{
	return call->conn != NULL && call->conn->is_unclaimed;
}

size_t
call_read(struct call *call, void *into, size_t len)
{
	struct conn *c = call->conn;
	if (c == NULL)
		return 0;
	if (len > c->content)
		len = c->content;
	if (len == 0)
		return 0;
	if (call->fastcgi != NULL) {
		c->scanned -= record_read(&c->reader, &c->in, into, len);
	} else {
		memcpy(into, buf_data(&c->in), len);
		buf_drain(&c->in, len);
	}
	c->content -= len;
	if (c->content == 0)
		conn_discard_content(c);
	if (buf_len(&c->in) == 0)
		buf_clear(&c->in);
	conn_watch_readable(c);
	return len;
}

bool
call_content_ended(const struct call *call)
{
	const struct conn *c = call->conn;
	return c == NULL || (c->content_ended && c->content == 0);
}

size_t
call_readable(const struct call *call)
{
	return call->conn == NULL ? 0 : call->conn->content;
}

void
call_write(struct call *call, const void *data, size_t len)
{
	struct conn *c = call->conn;
	if (c == NULL || len == 0)
		return;
	int r = call->fastcgi == NULL ? buf_append(&c->out, data, len) :
	    record_write(&c->writer, &c->out, c->scan.id, data, len);
	if (r != WIRE_OK)
		fatal("out of memory for a response");
	if (call_unsent(call) > CALL_LOW_WATER)
		call->is_above = true;
	conn_mark_dirty(c);
}

size_t
call_unsent(const struct call *call)
{
	if (call->conn == NULL)
		return 0;
	return buf_len(&call->conn->out);
}

void
call_delay(struct call *call, double seconds)
{
	struct conn *c = call->conn;
	if (c == NULL || c->is_delayed || c->is_cgi || seconds <= 0 ||
	    c->responder->delayed >= CALL_DELAYED_MAX)
		return;
	c->is_delayed = true;
	c->responder->delayed++;
	ev_timer_stop(c->responder->loop, &c->timer);
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(c->responder->loop, &c->timer);
}

/* The connection goes on by itself; see settle_finish and settle_cut. */
static void
leave_conn(struct call *call, enum conn_state state)
{
	struct conn *c = call->conn;
	conn_retire_call(call);
	c->state = state;
	c->scan.is_answered = true;
	conn_discard_content(c);
	conn_mark_dirty(c);
	conn_watch_readable(c);
}

void
call_on_over(struct call *call, void (*fn)(void *), void *arg)
{
	if (call->conn == NULL) {
		fn(arg);
		return;
	}
	call->conn->over = fn;
	call->conn->over_arg = arg;
}

void
call_finish(struct call *call)
{
	if (call->conn == NULL)
		return;
	struct conn *c = call->conn;
	if (call->fastcgi != NULL && record_write_end(&c->writer, &c->out,
	    c->scan.id) != WIRE_OK)
		fatal("out of memory for a response");
	leave_conn(call, CONN_WAITS_FOR_FINISH);
}

void
call_abort(struct call *call)
{
	if (call->conn == NULL)
		return;
	leave_conn(call, CONN_WAITS_FOR_CUT);
}
