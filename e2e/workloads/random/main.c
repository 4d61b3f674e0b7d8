// SPDX-License-Identifier: Apache-2.0
/*
 * random-verbs: one side of a random program of verbs, which validates everything in the end.
 * Exit status: 0 everything is as it has to be, 1 something is not, 2 usage, 3 the run broke off.
 */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../ledger/number.h"
#include "failure.h"
#include "side.h"

#define MEET_S		300
#define STALL_MS	180000
#define MISSING_MS	60000
#define PROGRESS_MS	2000
#define PAUSE_US	2000

static volatile sig_atomic_t asked_to_stop, asked_to_drop;

static void on_signal(int signal)
{
	if (signal == SIGUSR1)
		asked_to_drop = 1;
	else
		asked_to_stop = 1;
}

static void step(struct side *s, uint64_t until_ms)
{
	static uint64_t shown_ms;

	if (asked_to_drop) {
		asked_to_drop = 0;
		refused_drop(s);
	}
	s->stopping |= asked_to_stop || (until_ms && now_ms() >= until_ms);
	if (!traffic_step(s))
		usleep(PAUSE_US);
	if (now_ms() < shown_ms + PROGRESS_MS)
		return;
	shown_ms = now_ms();
	printf("progress %" PRIu64 "\n", s->operations);
	fflush(stdout);
}

static void meet_again(struct side *s, struct meeting *m)
{
	uint64_t until = now_ms() + STALL_MS;

	while (!meeting_try(m, 0)) {
		MUST(now_ms() < until);
		step(s, 0);
	}
}

/* The next line of the other side, which may wait for something of this one. */
static void next_line(struct side *s, struct meeting *m, char line[CONTROL_LINE])
{
	uint64_t until = now_ms() + STALL_MS;
	int ret;

	while (!(ret = control_receive(&m->control, line, 0))) {
		MUST(now_ms() < until);
		step(s, 0);
	}
	MUST(ret == 1);
}

static void exchange_counts(struct side *s, struct meeting *m)
{
	char line[CONTROL_LINE];
	unsigned int number;

	for (unsigned int i = 0; i < s->all->pairs; i++)
		MUST(!control_send(&m->control, "posted %u %" PRIu64, i, s->link[i].out.posted));
	for (unsigned int i = 0; i < s->all->pairs; i++) {
		next_line(s, m, line);
		MUST(sscanf(line, "posted %u %" SCNu64, &number, &s->link[i].peer_posted) == 2 && number == i);
	}
}

/* Everything has come, or never will. */
static void await_messages(struct side *s, struct meeting *m)
{
	uint64_t until = now_ms() + MISSING_MS;
	char line[CONTROL_LINE];

	while (!traffic_has_come(s) && now_ms() < until)
		step(s, 0);
	MUST(!control_send(&m->control, "had"));
	next_line(s, m, line);
	MUST(!strcmp(line, "had"));
}

static void run(struct side *s, struct meeting *m, unsigned int seconds)
{
	uint64_t until = seconds ? now_ms() + seconds * 1000ull : 0;

	s->last_ms = now_ms();
	while (!traffic_is_over(s)) {
		step(s, until);
		if (now_ms() > s->last_ms + STALL_MS) {
			wrong("nothing has completed for %d s", STALL_MS / 1000);
			exit(1);
		}
	}
	meet_again(s, m);
	exchange_counts(s, m);
	await_messages(s, m);
}

/* What no side does: the checks that follow have to find it. */
static void inject(struct side *s)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTS, .min_rnr_timer = 29 };

	/* The run was too short for it. */
	MUST(s->inject != INJECT_CORRUPT && s->inject != INJECT_LOSE);
	if (s->inject == INJECT_ATTRIBUTE)
		MUST(!ibv_modify_qp(s->link[0].qp, &attr, IBV_QP_STATE | IBV_QP_MIN_RNR_TIMER));
	for (unsigned int i = 0; s->inject == INJECT_FLUSH && i < s->plan->cqs; i++) {
		struct ibv_wc wc;

		if (s->queue[i].plan->quiet && queue_poll(&s->queue[i], 1, &wc) == 1)
			s->inject = INJECT_NOTHING;
	}
}

static void finish(struct side *s)
{
	inject(s);
	traffic_check(s);
	looks_check(s);
	family_end(s);
	refused_drop(s);
	idles_check(s);
	side_destroy(s);
	printf("{\"seed\":%" PRIu64 ",\"operations\":%" PRIu64 ",\"wrong\":%" PRIu64 "}\n", s->all->seed,
	       s->operations, wrong_count());
	fflush(stdout);
}

struct options {
	const char *peer, *device, *directory;
	unsigned int seconds;
	enum inject inject;
};

static int play(const struct plan *plan, const struct options *o)
{
	enum side_name name = o->peer ? CLIENT : SERVER;
	static struct side s;
	struct meeting m;

	s.all = plan;
	s.plan = &plan->side[name];
	s.name = name;
	s.directory = o->directory;
	s.inject = o->inject;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGUSR1, on_signal);
	plan_print(stdout, plan, name);
	fflush(stdout);
	if (s.plan->fork_safe)
		MUST(!ibv_fork_init());
	meeting_open(&m, o->peer);
	family_before(&s);
	side_open(&s, o->device);
	side_make(&s);
	MUST(meeting_try(&m, MEET_S * 1000));
	meeting_exchange(&m, &s);
	meeting_part(&m);
	idles_make(&s, &s.link[0].remote);
	looks_keep(&s);
	family_make(&s);
	refused_make(&s);
	printf("refused %s\n", refused_word(s.refused.kind));
	fflush(stdout);
	run(&s, &m, o->seconds);
	finish(&s);
	meeting_part(&m);
	return wrong_count() ? 1 : 0;
}

static int usage(void)
{
	fputs("usage: random-verbs server SEED [OPTION VALUE]...\n"
	      "       random-verbs client SEED PEER [OPTION VALUE]...\n"
	      "       random-verbs plan SEED       what the seed stands for\n"
	      "  --seconds N    end after so long; 0, the default: when SIGTERM comes, or the other side ends\n"
	      "  --device NAME  default: the first one\n"
	      "  --files DIR    where files of registered memory lie; default: /tmp\n"
	      "  --inject corrupt|lose|attribute|flush  a fault, which has to be found\n"
	      "SIGUSR1 lets it destroy what Sealift refuses to move.\n",
	      stderr);
	return 2;
}

static bool take_option(struct options *o, const char *name, const char *value)
{
	static const char *const faults[] = { "nothing", "corrupt", "lose", "attribute", "flush" };

	long seconds = o->seconds;

	if (!strcmp(name, "--seconds") && !number_parse(value, 0, UINT_MAX, &seconds))
		return false;
	o->seconds = (unsigned int)seconds;
	if (!strcmp(name, "--device"))
		o->device = value;
	else if (!strcmp(name, "--files"))
		o->directory = value;
	else if (!strcmp(name, "--inject"))
		while (strcmp(faults[o->inject], value))
			if (++o->inject > INJECT_FLUSH)
				return false;
	return !strcmp(name, "--seconds") || !strcmp(name, "--device") || !strcmp(name, "--files") ||
	       !strcmp(name, "--inject");
}

int main(int argc, char **argv)
{
	struct options o = { .directory = "/tmp" };
	static struct plan plan;
	char *end;
	int next = 3;

	if (argc < 3)
		return usage();
	plan_make(&plan, strtoull(argv[2], &end, 0));
	if (*end || end == argv[2])
		return usage();
	if (!strcmp(argv[1], "plan")) {
		plan_describe(stdout, &plan);
		return 0;
	}
	if (!strcmp(argv[1], "client") && argc > next)
		o.peer = argv[next++];
	else if (strcmp(argv[1], "server"))
		return usage();
	for (; next + 1 < argc; next += 2)
		if (!take_option(&o, argv[next], argv[next + 1]))
			return usage();
	return next == argc ? play(&plan, &o) : usage();
}
