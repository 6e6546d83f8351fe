/* store_options.h - the options that say where Redis is, as the worker and
 * inverting-proxy-admin both have them. */
#ifndef FCGI_STORE_OPTIONS_H
#define FCGI_STORE_OPTIONS_H

#include <stddef.h>

#include "common/option.h"

/* Rows of an option table whose struct is `settings`, which has the members
 * redis, redis_user, redis_password_file and redis_timeout_ms. */
#define STORE_OPTIONS(settings) \
	{ .name = "redis", .letter = 'r', .type = OPTION_STRING, \
	    .offset = offsetof(settings, redis), .fallback = "127.0.0.1:6379", \
	    .value_name = "ADDRESS", .group = "Redis", \
	    .help = "unix:/path, HOST:PORT or redis://HOST:PORT/DB." }, \
	{ .name = "redis-user", .type = OPTION_STRING, \
	    .offset = offsetof(settings, redis_user), .value_name = "NAME", \
	    .help = "ACL user; see deploy/redis." }, \
	{ .name = "redis-password-file", .type = OPTION_STRING, \
	    .offset = offsetof(settings, redis_password_file), \
	    .value_name = "FILE", \
	    .help = "The first line of FILE is the password." }, \
	{ .name = "redis-timeout", .type = OPTION_DURATION_MS, \
	    .offset = offsetof(settings, redis_timeout_ms), .fallback = "3s", \
	    .min = 100, .max = 60000, .value_name = "TIME", \
	    .help = "A Redis that does not answer for this long is lost." }

#endif
