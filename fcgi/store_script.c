/* store_script.c - Lua scripts by their SHA-1, loaded again when Redis has
 * lost them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/store_private.h"

/* A call by SHA-1, kept until it is known that Redis had the script. */
struct script_call {
	struct store *store;
	struct store_script *script;
	store_reply_fn *fn;
	void *arg;
	int keys, argc;
	struct span argv[];	/* the bytes follow */
};

static struct script_call *
script_call_new(int argc, const struct span *argv)
{
	const size_t count = (size_t)argc;
	size_t size = 0;
	struct script_call *call;
	char *p;

	for (size_t i = 0; i < count; i++)
		size += argv[i].len;
	call = malloc(sizeof(*call) + count * sizeof(call->argv[0]) + size);
	if (call == NULL)
		fatal("out of memory");
	p = (char *)&call->argv[count];
	for (size_t i = 0; i < count; i++) {
		call->argv[i] = span_of(p, argv[i].len);
		if (argv[i].len > 0)
			memcpy(p, argv[i].data, argv[i].len);
		p += argv[i].len;
	}
	call->argc = argc;
	return call;
}

/* how: EVAL and the text, or EVALSHA and the SHA-1. */
static void
script_send(struct store *s, const char *how, const char *what,
    store_reply_fn *fn, void *arg, int keys, int argc, const struct span *argv)
{
	char number[16];
	const int len = snprintf(number, sizeof(number), "%d", keys);
	const struct span head[] = { span_str(how), span_str(what),
		span_of(number, (size_t)len) };

	store_send(s, fn, arg, head, 3, argv, argc);
}

static void
on_script_reply(void *arg, const struct store_reply *reply)
{
	struct script_call *call = arg;
	struct store *s = call->store;
	const struct span noscript = span_str("NOSCRIPT");

	if (store_is_up(s) && reply->kind == STORE_ERROR &&
	    reply->string.len >= noscript.len &&
	    span_is(span_of(reply->string.data, noscript.len), noscript))
		script_send(s, "EVAL", call->script->text, call->fn, call->arg,
		    call->keys, call->argc, call->argv);
	else if (call->fn != NULL)
		call->fn(call->arg, reply);
	else if (reply->kind == STORE_ERROR)
		store_log_error(s, reply->string);
	free(call);
}

/* Redis computes the SHA-1 for us. */
static void
on_script_loaded(void *arg, const struct store_reply *reply)
{
	struct store_script *script = arg;

	if (reply->kind == STORE_STRING &&
	    reply->string.len == sizeof(script->sha1) - 1)
		memcpy(script->sha1, reply->string.data, reply->string.len);
}

void
store_script(struct store *s, struct store_script *script, store_reply_fn *fn,
    void *arg, int keys, int argc, const struct span *argv)
{
	const struct span load[] = { span_str("SCRIPT"), span_str("LOAD"),
		span_str(script->text) };
	struct script_call *call;

	if (script->sha1[0] == '\0') {
		store_command(s, on_script_loaded, script, 3, load);
		script_send(s, "EVAL", script->text, fn, arg, keys, argc, argv);
		return;
	}
	call = script_call_new(argc, argv);
	call->store = s;
	call->script = script;
	call->fn = fn;
	call->arg = arg;
	call->keys = keys;
	script_send(s, "EVALSHA", script->sha1, on_script_reply, call, keys,
	    argc, call->argv);
}
