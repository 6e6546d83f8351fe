/* settings.h - the options of the worker. */
#ifndef FCGI_SETTINGS_H
#define FCGI_SETTINGS_H

#include "common/option.h"

struct settings {
	char *listen;
	char *socket_mode;	/* octal digits */
	char *socket_group;
	char *user;
	long workers;
	long max_connections;
	char *pid_file;

	char *redis;
	char *redis_user;
	char *redis_password_file;
	long redis_timeout_ms;

	struct option_list admins;

	long login_delay_ms;

	long body_limit;	/* bytes of a request's content; 0: none */
	long queue_limit;	/* exchanges waiting, per backend */
	long backend_limit;	/* exchanges in flight, per backend ... */
	long client_limit;	/* ... and per address of clients */
	long poll_limit;	/* open calls, per agent identity */
	long agent_limit;	/* native agents, per agent identity */
	long frame_limit;	/* bytes of a frame's payload */
	long head_timeout_ms;
	long linger_timeout_ms;
	long queue_timeout_ms;
	long response_timeout_ms;
	long idle_timeout_ms;
	long lease_ms;
	long poll_timeout_ms;
	long agent_absence_ms;
	long drain_timeout_ms;
	long window;		/* content in flight, per direction */
	long min_rate;		/* bytes a second of a request's content */
	long head_limit;	/* bytes of a head, either direction */
	long field_limit;	/* field lines of a head */
	bool via;

	char *log_file;
	char *log_level;
	char *log_format;
};

extern const struct option_program settings_program;

#endif
