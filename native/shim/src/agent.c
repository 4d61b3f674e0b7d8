// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../socket/exchange.h"
#include "signals.h"

#define SOCKET_PATH	"/run/sealift/agent.sock"
#define RECONNECT_MS	500
#define REPLY_LIMIT	(1024 * 1024)

enum outcome {
	GOT_REPLY,
	LOST,		/* no connection, or it closed without a reply: worth another try */
	REFUSED,	/* final, the reason is filled */
};

static const char *socket_path(void)
{
	const char *named = getenv("SEALIFT_SOCKET");

	return named && *named ? named : SOCKET_PATH;
}

static int connect_agent(struct reason *why)
{
	const char *path = socket_path();
	int fd = exchange_connect(path);

	if (fd < 0)
		reason_set(why, "AgentUnreachable",
			   "no agent at %s: %s; see whether this node's Sealift agent runs", path,
			   strerror(-fd));
	return fd;
}

static int wait_ready(int fd, short events, void *signals)
{
	return signals_wait(signals, fd, events, -1) < 0 ? -ECANCELED : 0;
}

static enum outcome asked_to_end(struct reason *why)
{
	reason_set(why, "Cancelled", "asked to end while waiting for the agent");
	return REFUSED;
}

/* What an exchange that ended with @error means. */
static enum outcome judge_end(int error, struct reason *why)
{
	switch (error) {
	case 0:
		return GOT_REPLY;
	case -ECANCELED:
		return asked_to_end(why);
	case -EMSGSIZE:
		reason_set(why, "BadReply", "the agent's reply has no end within %d bytes",
			   REPLY_LIMIT);
		return REFUSED;
	case -ENOMEM:
		reason_set(why, "OutOfMemory", "no memory for the agent's reply");
		return REFUSED;
	default:
		reason_set(why, "AgentUnreachable", "the agent closed without a reply: %s",
			   strerror(-error));
		return LOST;
	}
}

static enum outcome judge(const char *line, json_t **reply, struct reason *why)
{
	const char *code, *message;
	json_error_t error;
	json_t *json = json_loads(line, 0, &error);

	if (!json_is_object(json) || !json_is_boolean(json_object_get(json, "ok"))) {
		reason_set(why, "BadReply", "the agent's reply is not understood: %.200s", line);
		json_decref(json);
		return REFUSED;
	}
	if (json_is_true(json_object_get(json, "ok"))) {
		*reply = json;
		return GOT_REPLY;
	}
	code = json_string_value(json_object_get(json, "code"));
	message = json_string_value(json_object_get(json, "message"));
	reason_set(why, code ? code : "Refused", "%s", message ? message : "the agent refused");
	json_decref(json);
	return REFUSED;
}

static enum outcome ask_once(struct signals *signals, const char *text, json_t **reply,
			     struct reason *why)
{
	enum outcome outcome;
	char *line;
	int fd = connect_agent(why);

	if (fd < 0)
		return LOST;
	outcome = judge_end(exchange_line(fd, text, REPLY_LIMIT, &line, wait_ready, signals), why);
	if (outcome == GOT_REPLY)
		outcome = judge(line, reply, why);
	free(line);
	close(fd);
	return outcome;
}

/* Tests set a shorter limit. */
static int limited(int wanted_ms)
{
	const char *named = getenv("SEALIFT_LIMIT_MS");
	int limit = named ? atoi(named) : 0;

	return limit > 0 && limit < wanted_ms ? limit : wanted_ms;
}

json_t *agent_ask(const json_t *request, int limit_ms, struct reason *why)
{
	char *body = json_dumps(request, JSON_COMPACT);
	size_t length = body ? strlen(body) : 0;
	char *text = body ? realloc(body, length + 2) : NULL;
	struct signals signals;
	json_t *reply = NULL;
	int without_ms = 0;

	if (!text) {
		reason_set(why, "OutOfMemory", "no memory for a request");
		free(body);
		return NULL;
	}
	memcpy(text + length, "\n", 2);

	signals_take(&signals);
	limit_ms = limited(limit_ms);
	while (ask_once(&signals, text, &reply, why) == LOST) {
		/*
		 * Only time without a connection counts: a gate may take long, and an agent that
		 * closes at once, again and again, must not keep us for ever.
		 */
		if (without_ms >= limit_ms)
			break;
		without_ms += RECONNECT_MS;
		if (signals_wait(&signals, -1, 0, RECONNECT_MS) < 0) {
			asked_to_end(why);
			break;
		}
	}
	signals_give_back(&signals);
	free(text);
	return reply;
}

int agent_present(void)
{
	struct reason why;
	int fd = connect_agent(&why);

	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}
