/* fuzz_hand_out.c - any replies and wake-ups of Redis to those who take
 * exchanges from a backend's queue, and to the question whether an agent is
 * still alive: nobody gets more than it takes, and what nobody takes goes
 * back. */
#include "config.h"

#include "fcgi/hand_out.h"
#include "fcgi/lease.h"
#include "fcgi/store_keys.h"
#include "tests/fuzz/fake_store.h"
#include "tests/fuzz/fuzz.h"

enum { WAITERS = 3, ITEMS = 2 };

static const char backends[] = "\1a\2bb";
static struct ev_loop *loop;
static struct lease_item items[ITEMS];

static void
give(struct waiter *w, struct span encoded, const struct frame *open)
{
	must(w->capacity-- > 0);
	must(open->type == FRAME_OPEN && encoded.len > FRAME_HEADER_LEN);
}

static void
recall(struct waiter *w)
{
	must(w->seats != NULL);
}

static void
doubt(void *arg, struct lease_item *item)
{
	(void)arg;
	must(item->lease != NULL);
}

static void
gone(void *arg, const unsigned char *instance)
{
	(void)arg;
	(void)instance;
}

static void
lost(void *arg, struct lease_item *item)
{
	(void)arg;
	must(item->lease == NULL);
}

static void
queued(void *arg, const struct store_reply *reply)
{
	(void)arg;
	must(reply->kind <= STORE_ARRAY);
}

struct scene {
	struct store *store;
	struct watches *watches;
	struct hand_out *hand_out;
	struct leases *leases;
	struct waiter waiter[WAITERS];
};

static void
wait_or_leave(struct scene *sc, struct waiter *w, size_t capacity)
{
	if (w->seats != NULL) {
		hand_out_leave(sc->hand_out, w);
		return;
	}
	*w = (struct waiter){ .capacity = capacity, .give = give,
		.recall = recall };
	must(hand_out_wait(sc->hand_out, w, span_of(backends,
	    sizeof(backends) - 1)) == 0);
}

static void
lease_or_leave(struct scene *sc, struct lease_item *item,
    const unsigned char instance[AGENT_INSTANCE_LEN])
{
	if (item->lease != NULL)
		lease_leave(sc->leases, item);
	else
		lease_join(sc->leases, item, instance);
}

static void
step(struct scene *sc, struct span *in)
{
	static const unsigned char instance[ITEMS][AGENT_INSTANCE_LEN] = {
		{ 1 }, { 2 } };
	const struct store_key wake = store_key_wake(span_str("a"));
	const unsigned choice = fuzz_byte(in), which = choice >> 3;

	switch (choice & 7) {
	case 0:
		wait_or_leave(sc, &sc->waiter[which % WAITERS], which * 4);
		break;
	case 1:
		must(watches_message(sc->watches, store_key_span(&wake),
		    which ? fuzz_piece(in) : span_str("")) ||
		    sc->waiter[0].seats == NULL);
		break;
	case 2:
		fake_store_set_up(sc->store, which & 1);
		if (which & 1)
			watches_store_up(sc->watches);
		break;
	case 3:
		lease_or_leave(sc, &items[which % ITEMS],
		    instance[which % ITEMS]);
		break;
	case 4:
		hand_out_queue(sc->hand_out, span_str("bb"), fuzz_piece(in),
		    queued, NULL);
		hand_out_attend(sc->hand_out, span_str("bb"));
		break;
	default:
		(void)fake_store_answer(sc->store, in);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct settings settings = { .queue_limit = 10 };
	static const struct lease_handler handler = { doubt, gone, lost,
		NULL };
	struct span in = span_of(data, size);
	struct scene sc = { .store = fake_store_new() };

	if (loop == NULL)
		must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
	sc.watches = watches_new(loop, sc.store);
	sc.hand_out = hand_out_new(loop, sc.store, sc.watches, &settings);
	sc.leases = leases_new(loop, sc.store, 1, &handler);
	while (in.len > 0)
		step(&sc, &in);
	for (size_t i = 0; i < WAITERS; i++)
		if (sc.waiter[i].seats != NULL)
			hand_out_leave(sc.hand_out, &sc.waiter[i]);
	for (size_t i = 0; i < ITEMS; i++)
		lease_leave(sc.leases, &items[i]);
	hand_out_free(sc.hand_out);
	fake_store_free(sc.store);
	watches_free(sc.watches);
	leases_free(sc.leases);
	return 0;
}
