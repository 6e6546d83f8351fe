/* native_peer.c - the second native agent, tests/native_peer.py, which knows
 * nothing but PROTOCOL.md, against the worker. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

enum { PEER_PERIOD = 251 };

static void
start_peer(struct stack *s)
{
	struct process *p = process_new("peer");

	process_arg(p, "python3");
	process_arg(p, "%s", harness_source("tests/native_peer.py"));
	process_arg(p, "--proxy=http://127.0.0.1:%d" AGENT_MOUNT, s->port);
	process_arg(p, "--backend=b1");
	process_arg(p, "--token-file=%s", harness_path("agent.token"));
	process_start(p);
	stack_wait_ready(s);
}

static uint64_t
hash_peer(size_t len)
{
	uint64_t hash = HASH_INIT;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)(i % PEER_PERIOD);

		hash = hash_add(hash, &byte, 1);
	}
	return hash;
}

static void
check_download(struct response *r, size_t len)
{
	check(r->status == 200 && r->whole && r->content_len == len &&
	    r->hash == hash_peer(len), "%zu bytes: %d, %llu came, %s", len,
	    r->status, r->content_len, r->whole ? "whole" : "cut");
	check(response_field(r, "X-Peer") != NULL, "not the peer's");
	response_clear(r);
}

static void
upload(struct stack *s, size_t len, bool chunked)
{
	char fields[64], want[64];
	struct client *c;
	struct response r;

	snprintf(fields, sizeof(fields), chunked ?
	    "Transfer-Encoding: chunked\r\n" : "Content-Length: %zu\r\n", len);
	c = stack_send(s, "POST", "/hash", fields);
	client_send_pattern(c, len, chunked);
	r = stack_receive(c, "POST");
	snprintf(want, sizeof(want), "%zu %016llx\n", len,
	    (unsigned long long)hash_pattern(len));
	check(r.status == 200 && strcmp(response_text(&r), want) == 0,
	    "%zu bytes%s: %d %s", len, chunked ? " chunked" : "", r.status,
	    response_text(&r));
	response_clear(&r);
}

static void
it_serves_all_sizes_both_ways(struct stack *s)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 700000,
		3000000 };

	start_peer(s);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char target[64];
		struct response r;

		snprintf(target, sizeof(target), "/bytes/%zu", sizes[i]);
		r = stack_get(s, target);
		check_download(&r, sizes[i]);
		if (sizes[i] > 1000000)
			continue;	/* it hashes slowly */
		upload(s, sizes[i], false);
		upload(s, sizes[i], true);
	}
}
TEST_EACH_WEB(native_peer, it_serves_all_sizes_both_ways,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=5s" })

static void
it_serves_many_at_once(struct stack *s)
{
	enum { MANY = 40 };
	struct client *c[MANY];

	start_peer(s);
	for (unsigned i = 0; i < MANY; i++) {
		char target[64];

		snprintf(target, sizeof(target), "/bytes/%u", i * 9001);
		c[i] = stack_send(s, "GET", target, "");
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check_download(&r, i * 9001);
	}
}
TEST_EACH_WEB(native_peer, it_serves_many_at_once, .workers = 2,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=5s" })
