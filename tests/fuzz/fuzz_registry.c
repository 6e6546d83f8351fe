/* fuzz_registry.c - any replies of Redis to a reading or writing of the
 * registry: what it keeps is valid, in order, and found again; who waits is
 * told once.  A byte chooses what happens next. */
#include "config.h"

#include "fcgi/registry.h"
#include "fcgi/registry_json.h"
#include "fcgi/store_keys.h"
#include "tests/fuzz/fake_store.h"
#include "tests/fuzz/fuzz.h"

static unsigned asked, told;

static void
done(void *arg, const char *error)
{
	(void)arg;
	must(error == NULL || error[0] != '\0');
	told++;
}

static void
check(const struct registry *r)
{
	const char *before = "";

	for (size_t i = 0; i < registry_backend_count(r); i++) {
		const struct backend *b = registry_backend_at(r, i);

		must(backend_id_is_valid(span_str(b->id)));
		must(strcmp(before, b->id) <= 0);
		before = b->id;
		must(b->used_ms >= 0 && b->seen_ms >= 0);
		must(registry_backend(r, span_str(b->id)) != NULL);
		must(registry_route(r, b->end_user,
		    span_str(b->prefix[0])) != NULL);
	}
	for (size_t i = 0; i < registry_token_count(r); i++)
		must(registry_token(r, span_str(registry_token_at(r, i)->id)) !=
		    NULL || registry_token_at(r, i)->id[0] == '\0');
}

static void
put(struct registry *r, struct span json)
{
	char *error = NULL;
	struct backend *b = backend_from_json(json, &error);

	free(error);
	if (b == NULL)
		return;
	asked++;
	registry_put_backend(r, b, done, NULL);
	backend_free(b);
}

static void
step(struct registry *r, struct store *s, struct span *in)
{
	const struct store_key changed = store_key_changed();
	struct span text;

	switch (fuzz_byte(in) & 7) {
	case 0:
		text = fuzz_piece(in);
		must(registry_store_message(r, store_key_span(&changed),
		    text));
		break;
	case 1:
		fake_store_set_up(s, false);
		fake_store_set_up(s, true);
		registry_store_up(r);
		break;
	case 2:
		put(r, fuzz_piece(in));
		break;
	case 3:
		text = fuzz_piece(in);
		asked += backend_id_is_valid(text);
		if (backend_id_is_valid(text))
			registry_delete_backend(r, text, done, NULL);
		break;
	case 4:
		asked++;
		registry_refresh_times(r, done, NULL);
		break;
	case 5:
		text = fuzz_piece(in);
		registry_note_used(r, text);
		(void)registry_token(r, text);
		(void)registry_route(r, NULL, text);
		break;
	default:
		(void)fake_store_answer(s, in);
		break;
	}
	check(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct store *s = fake_store_new();
	struct registry *r = registry_new(s);

	asked = told = 0;
	while (in.len > 0)
		step(r, s, &in);
	fake_store_free(s);
	must(asked == told);
	registry_free(r);
	return 0;
}
