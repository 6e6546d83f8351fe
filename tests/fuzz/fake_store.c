/* fake_store.c - replies made of a fuzzer's bytes. */
#include "config.h"

#include "fcgi/store_waiters.h"
#include "tests/fuzz/fake_store.h"
#include "tests/fuzz/fuzz.h"

enum { ELEMENTS_MAX = 4096, DEPTH_MAX = 3 };

struct store {
	bool up;
	struct store_waiters waiters;
	struct store_reply elements[ELEMENTS_MAX];
	size_t used;
};

struct store *
fake_store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	fuzz_log_nowhere();
	must(s != NULL);
	s->up = true;
	return s;
}

void
fake_store_free(struct store *s)
{
	s->up = false;
	while (store_waiters_oldest(&s->waiters) != NULL)
		store_waiters_lose(&s->waiters);
	store_waiters_clear(&s->waiters);
	free(s);
}

void
fake_store_set_up(struct store *s, bool up)
{
	s->up = up;
	if (!up)
		store_waiters_lose(&s->waiters);
}

/* A byte says which kind; of 8 and more the upper bits are the count. */
static struct store_reply
make_reply(struct store *s, struct span *in, unsigned depth)
{
	const unsigned choice = fuzz_byte(in);
	struct store_reply r = { .kind = STORE_NIL }, *element;
	struct span number;

	switch (choice & 7) {
	case 0:
		break;
	case 1:
		r.kind = STORE_ERROR;
		r.string = fuzz_piece(in);
		break;
	case 2:
		r.kind = STORE_INTEGER;
		for (number = fuzz_piece(in); number.len > 0; )
			r.integer = (long long)((unsigned long long)r.integer
			    << 8 | fuzz_byte(&number));
		break;
	case 3:
		r.kind = STORE_INTEGER;
		r.integer = (long long)(choice >> 3) - 2;
		break;
	case 4:
	case 5:
		r.kind = STORE_ARRAY;
		r.count = (choice & 7) == 4 ? choice >> 3 :
		    (choice >> 3) * 16;
		if (depth == DEPTH_MAX || r.count > ELEMENTS_MAX - s->used)
			r.count = 0;
		r.element = element = &s->elements[s->used];
		s->used += r.count;
		for (size_t i = 0; i < r.count; i++)
			element[i] = make_reply(s, in, depth + 1);
		break;
	default:
		r.kind = STORE_STRING;
		r.string = fuzz_piece(in);
		break;
	}
	return r;
}

bool
fake_store_answer(struct store *s, struct span *in)
{
	struct store_reply reply;
	struct store_waiter waiter;

	if (!store_waiters_shift(&s->waiters, &waiter))
		return false;
	s->used = 0;
	reply = make_reply(s, in, 0);
	if (waiter.fn != NULL)
		waiter.fn(waiter.arg, &reply);
	return true;
}

/* --- store.h --- */

size_t
store_unsent(const struct store *s)
{
	(void)s;
	return 0;
}

bool
store_is_up(const struct store *s)
{
	return s->up;
}

bool
store_is_quiet(const struct store *s)
{
	return store_waiters_oldest(&s->waiters) == NULL;
}

void
store_command(struct store *s, store_reply_fn *fn, void *arg, int argc,
    const struct span *argv)
{
	for (int i = 0; i < argc; i++)
		fuzz_touch(argv[i]);
	store_waiters_push(&s->waiters, (struct store_waiter){ fn, arg, 0. });
}

void
store_script(struct store *s, struct store_script *script, store_reply_fn *fn,
    void *arg, int keys, int argc, const struct span *argv)
{
	must(script->text != NULL && keys <= argc);
	store_command(s, fn, arg, argc, argv);
}

void
store_subscribe(struct store *s, struct span channel, store_reply_fn *done,
    void *arg)
{
	store_command(s, done, arg, 1, &channel);
}

void
store_unsubscribe(struct store *s, struct span channel)
{
	store_command(s, NULL, NULL, 1, &channel);
}

void
store_pop_from(struct store *s, struct span key)
{
	must(s != NULL);
	fuzz_touch(key);
}
