/* client.h - a raw-socket HTTP/1.1 client: sends given bytes, reads responses
 * piece by piece with the time each piece came. */
#ifndef INTEGRATION_CLIENT_H
#define INTEGRATION_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/http1_body.h"
#include "common/http1_head.h"
#include "common/span.h"

enum { RESPONSE_KEEP = 1024 * 1024 };

struct response {
	int status;			/* 0: none came */
	struct buf head;		/* of the final response */
	struct http1_response decoded;	/* views into head */
	struct http1_body body;
	struct buf content;		/* the first RESPONSE_KEEP bytes */
	unsigned long long content_len;
	uint64_t hash;
	bool ended;			/* no more content will come */
	bool whole;			/* ... and it ended cleanly */
	int interim;			/* 1xx heads before it */
	long long head_ns;		/* when the head was there */
	long long first_ns;		/* when the first content came */
};

struct client {
	int fd;
	struct buf in;
	bool eof;
	long long sent_ns;	/* when the last request had been sent */
};

/* Does anybody listen there? */
bool client_can_connect(int port);

/* Connects to 127.0.0.1:port. */
struct client *client_new(int port);

/* The same, from this address of ours. */
struct client *client_new_from(int port, const char *from);
void client_free(struct client *c);

/* Sends everything, in the time it takes; false when the peer closed. */
bool client_send(struct client *c, const void *bytes, size_t len);
bool client_printf(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool client_send_pattern(struct client *c, unsigned long long len,
    bool chunked);

/* No more will be sent. */
void client_half_close(struct client *c);

/* Closes with a reset. */
void client_reset(struct client *c);

/* Has the server closed (within ms)?  Bytes that come are kept. */
bool client_wait_closed(struct client *c, int ms);

/* Reads one head.  status stays 0 when the connection ends before it; what
 * has come is then in c->in.  Fails the test after ms. */
void response_read_head(struct client *c, const char *method,
    struct response *r, int ms);

/* The next piece of content, at most what came at once; empty at the end or
 * when none came within ms.  It is also counted, hashed and kept. */
struct span response_read_piece(struct client *c, struct response *r, int ms);

/* Reads to the end of the content; fails the test when nothing comes for
 * PATIENCE_MS. */
void response_read_content(struct client *c, struct response *r);

void response_clear(struct response *r);

/* The value of the first field of that name, heap; NULL when there is none. */
char *response_field(const struct response *r, const char *name);
size_t response_count_fields(const struct response *r, const char *name);

/* The kept content as a string, heap. */
char *response_text(const struct response *r);

/* Of a head in wire form, as the backend's echo gives it: the value of the
 * n-th field line of that name, heap, or NULL; and how many there are. */
char *head_field(const char *head, const char *name, size_t n);
size_t head_count(const char *head, const char *name);

/* One request on a connection of its own: these bytes, then the response to
 * its end.  The method is the first word. */
struct response request_bytes(int port, const void *bytes, size_t len);
struct response request(int port, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* GET target with Host and Connection: close. */
struct response get(int port, const char *target);

#endif
