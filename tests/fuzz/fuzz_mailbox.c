/* fuzz_mailbox.c - any messages in a worker's mailbox and any answers about
 * who is alive: only whole frames come out, and who sends is told once. */
#include "config.h"

#include "fcgi/mailbox.h"
#include "tests/fuzz/fake_store.h"
#include "tests/fuzz/fuzz.h"

static unsigned asked, told;

static void
done(void *arg, enum mailbox_result result)
{
	(void)arg;
	must(result == MAILBOX_SENT || result == MAILBOX_DEAD ||
	    result == MAILBOX_LOST);
	told++;
}

static void
to_owner(void *arg, const struct address *from, struct span backends,
    const struct frame *frame)
{
	struct span backend;

	(void)arg;
	must(from->kind <= ADDRESS_AGENT && address_is(from, from));
	while (frame_next_backend(&backends, &backend))
		must(backend.len <= 255);
	fuzz_touch(frame->content);
	fuzz_touch(frame->head);
	fuzz_touch(frame->text);
}

static void
to_call(void *arg, unsigned long long call, const struct frame *frame)
{
	(void)arg;
	(void)call;
	fuzz_touch(frame->content);
}

static void
forgotten(void *arg)
{
	(void)arg;
}

static bool
to_agent(void *arg, const unsigned char *instance, struct span frames)
{
	(void)arg;
	return instance[0] & 1 && frames.len > 0;
}

static void
send_to(struct mailbox *m, unsigned kind, struct span *in)
{
	const struct span name = fuzz_piece(in);
	struct address to = { .kind = (enum address_kind)(kind & 3) };
	const struct address from = mailbox_call_address(m, kind,
	    to.instance);

	if (kind & 4)
		memcpy(to.worker, mailbox_worker_id(m), WORKER_ID_LEN);
	else if (name.len >= WORKER_ID_LEN)
		memcpy(to.worker, name.data, WORKER_ID_LEN);
	if (name.len >= AGENT_INSTANCE_LEN)
		memcpy(to.instance, name.data, AGENT_INSTANCE_LEN);
	to.call = kind;
	/* Frames for a call parked here are taken at once, without a word. */
	if (to.kind != ADDRESS_NONE &&
	    !(to.kind == ADDRESS_AGENT && to.instance[0] & 1)) {
		asked++;
		mailbox_send(m, &to, &from, span_of("", 0), span_of("x", 1),
		    done, NULL);
	}
	(void)mailbox_worker_lives(m, to.worker);
	must(mailbox_worker_may_live(m, mailbox_worker_id(m)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mailbox_handler handler = { to_owner, to_call,
		forgotten, to_agent, NULL };
	static struct ev_loop *loop;
	struct span in = span_of(data, size);
	struct store *s = fake_store_new();
	struct mailbox *m;
	unsigned choice;

	if (loop == NULL)
		must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
	m = mailbox_new(loop, s, &handler);
	mailbox_store_up(m);
	asked = told = 0;
	while (in.len > 0) {
		choice = fuzz_byte(&in);
		if ((choice & 3) == 0)
			mailbox_popped(m, fuzz_piece(&in));
		else if ((choice & 3) == 1)
			send_to(m, choice >> 2, &in);
		else
			(void)fake_store_answer(s, &in);
		mailbox_deliver_local(m);
	}
	fake_store_free(s);
	must(asked == told);
	mailbox_free(m);
	return 0;
}
