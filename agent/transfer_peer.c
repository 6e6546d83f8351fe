/* transfer_peer.c - the other end of transfers: settings that are the same for
 * every request to it, and libcurl handles that have them. */
#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/transfer_private.h"
#include "common/log.h"

enum {
	/* Read from a socket at once, and so held back when paused. */
	RECEIVE_SIZE = 64 * 1024,
	/* A peer that vanished is noticed after 15 + 3 * 5 s. */
	KEEPALIVE_IDLE_S = 15,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_PROBES = 3,
};

/* --- settings --- */

static int
on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const struct transfer_peer *peer = arg;
	long dead_ms = peer->settings.dead_link_ms;
	int probes = KEEPALIVE_PROBES, ms = (int)dead_ms;
	int idle = dead_ms < 3000 ? 1 : (int)(dead_ms / 3000);
	int interval = dead_ms < 6000 ? 1 : (int)(dead_ms / 6000);

	(void)purpose;
	/* All of it fails harmlessly on a unix socket. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	if (dead_ms == 0)
		return CURL_SOCKOPT_OK;
	/* What was sent is not acknowledged, or nothing was sent: a line that
	 * was cut shows in either case. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval,
	    sizeof(interval));
	return CURL_SOCKOPT_OK;
}

/* libcurl 7.88 can't use a connection of prior knowledge a second time: each
 * request fails with CURLE_HTTP2 (mended in 8.0.0). */
static bool
can_reuse(enum transfer_http http)
{
	unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;

	return http != TRANSFER_HTTP2 || version < 0x075800 ||
	    version >= 0x080000;
}

/* What stays the same for every request of a handle. */
static bool
set_up(CURL *easy, const struct transfer_peer *peer)
{
	const struct transfer_peer_settings *s = &peer->settings;
	long http = s->http == TRANSFER_HTTP2 ?
	    CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE :
	    s->http == TRANSFER_HTTP2_TLS ? CURL_HTTP_VERSION_2TLS :
	    CURL_HTTP_VERSION_1_1;

#define SET(option, value) \
	(curl_easy_setopt(easy, (option), (value)) == CURLE_OK)
	return SET(CURLOPT_CURLU, peer->url) &&
	    SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
	    SET(CURLOPT_HTTP_VERSION, http) &&
	    (s->unix_path == NULL ||
	    SET(CURLOPT_UNIX_SOCKET_PATH, s->unix_path)) &&
	    (s->use_environment_proxy || SET(CURLOPT_PROXY, "")) &&
	    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
	    (s->ca_file == NULL || SET(CURLOPT_CAINFO, s->ca_file)) &&
	    (s->client_cert == NULL ||
	    SET(CURLOPT_SSLCERT, s->client_cert)) &&
	    (s->client_key == NULL || SET(CURLOPT_SSLKEY, s->client_key)) &&
	    /* Streams share a connection instead of each making its own. */
	    (s->http == TRANSFER_HTTP1 || !can_reuse(s->http) ||
	    SET(CURLOPT_PIPEWAIT, 1L)) &&
	    (can_reuse(s->http) || (SET(CURLOPT_FRESH_CONNECT, 1L) &&
	    SET(CURLOPT_FORBID_REUSE, 1L))) &&
	    SET(CURLOPT_CONNECTTIMEOUT_MS, s->connect_timeout_ms) &&
	    SET(CURLOPT_NOSIGNAL, 1L) &&
	    SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) &&
	    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE) &&
	    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)RECEIVE_SIZE) &&
	    SET(CURLOPT_TCP_NODELAY, 1L) &&
	    SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
	    SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S) &&
	    SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S) &&
	    SET(CURLOPT_SOCKOPTFUNCTION, on_socket_made) &&
	    SET(CURLOPT_SOCKOPTDATA, (void *)(uintptr_t)peer);
#undef SET
}

/* --- handles ---
 *
 * Each request has its own, which takes a microsecond; connections are the
 * engine's and are kept.  Into a second request of a handle libcurl 7.88 carries
 * how often it tried again (it gives up at the sixth time), and where the last
 * field of the first response was: a response that begins with a folded line is
 * then written over memory that is free (mended in 8.1). */

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct transfer *t = timer->data;

	(void)revents;
	ev_timer_stop(loop, timer);
	t->timed_out = true;
	transfer_enqueue(t);
}

struct transfer *
transfer_new(struct transfer_peer *peer)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (t == NULL || (t->easy = curl_easy_init()) == NULL)
		fatal("out of memory");
	t->peer = peer;
	buf_init(&t->head, TRANSFER_HEAD_MAX);
	buf_init(&t->text, 4 * TRANSFER_HEAD_MAX);
	ev_timer_init(&t->deadline, on_deadline, 0., 0.);
	t->deadline.data = t;
	if (!set_up(t->easy, peer) || !transfer_set_callbacks(t)) {
		transfer_free(t);
		return NULL;
	}
	return t;
}

void
transfer_free(struct transfer *t)
{
	if (t == NULL)
		return;
	ev_timer_stop(t->peer->engine->loop, &t->deadline);
	curl_easy_cleanup(t->easy);
	buf_clear(&t->head);
	buf_clear(&t->text);
	free(t->lines);
	free(t);
}

/* --- peers --- */

static const char *
copy(const char *string)
{
	char *s;

	if (string == NULL)
		return NULL;
	if ((s = strdup(string)) == NULL)
		fatal("out of memory");
	return s;
}

static void
drop(const char *string)
{
	free((void *)(uintptr_t)string);
}

struct transfer_peer *
transfer_peer_new(struct transfer_engine *engine,
    const struct transfer_peer_settings *s)
{
	struct transfer_peer *peer = calloc(1, sizeof(*peer));
	struct transfer *trial = NULL;

	if (peer == NULL)
		fatal("out of memory");
	peer->engine = engine;
	peer->settings = *s;
	peer->settings.url = copy(s->url);
	peer->settings.unix_path = copy(s->unix_path);
	peer->settings.ca_file = copy(s->ca_file);
	peer->settings.client_cert = copy(s->client_cert);
	peer->settings.client_key = copy(s->client_key);
	/* Does libcurl take the settings? */
	if ((peer->url = curl_url()) == NULL ||
	    curl_url_set(peer->url, CURLUPART_URL, s->url, 0) != CURLUE_OK ||
	    (trial = transfer_new(peer)) == NULL) {
		transfer_peer_free(peer);
		return NULL;
	}
	transfer_free(trial);
	return peer;
}

void
transfer_peer_free(struct transfer_peer *peer)
{
	if (peer == NULL)
		return;
	curl_url_cleanup(peer->url);
	drop(peer->settings.url);
	drop(peer->settings.unix_path);
	drop(peer->settings.ca_file);
	drop(peer->settings.client_cert);
	drop(peer->settings.client_key);
	free(peer);
}
