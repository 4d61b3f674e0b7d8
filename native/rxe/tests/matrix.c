// SPDX-License-Identifier: GPL-2.0
/*
 * Every situation of a queue pair, with every kind of operation, and either end
 * moved, or both. Each cell has a process of its own, with two ends.
 *
 * usage: matrix NETNS_A DEVICE_A NETNS_B DEVICE_B [TABLE [CELL]]
 *	  matrix plan
 *   TABLE  file for the table of what ran (Markdown); `plan` writes to the
 *          standard output the one of a run in which everything is right
 *   CELL   run only cells with this in their names
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "expect.h"
#include "matrix.h"

#define CELL_SECONDS	60
#define ROWS		40

enum result { NOT_RUN, RIGHT, WRONG, NONE };

static const char *const ends[] = { "requester", "responder", "both" };

/* A table each. */
static const struct ends {
	const char *title, *name;
	enum ibv_qp_type type;
	unsigned int traits;	/* enum match_trait */
} tables[] = {
	{ "Connections (RC)", "RC", IBV_QPT_RC, 0 },
	{ "Datagrams (UD)", "UD", IBV_QPT_UD, 0 },
	{ "Connections that receive from shared receive queues (SRQ)",
	  "RC, SRQ", IBV_QPT_RC, MATCH_SHARED },
	{ "Datagrams that are received from shared receive queues",
	  "UD, SRQ", IBV_QPT_UD, MATCH_SHARED },
	{ "Connections, by the extended interfaces (`ibv_wr_start()`, `ibv_start_poll()`)",
	  "RC, extended", IBV_QPT_RC, MATCH_EXTENDED },
	{ "Datagrams, by the extended interfaces",
	  "UD, extended", IBV_QPT_UD, MATCH_EXTENDED },
};

static enum result results[ARRAY_SIZE(tables)][ROWS][MATCH_KINDS][ARRAY_SIZE(ends)];

static bool has_kind(const struct ends *table, enum match_kind kind)
{
	/* of UD only the first two exist */
	if (table->type == IBV_QPT_UD && kind > MATCH_SEND_IMM)
		return false;
	/* others take no receive request */
	return !(table->traits & MATCH_SHARED) || match_is_message(kind);
}

static bool exists(const struct ends *table, const struct matrix_situation *row,
		   enum match_kind kind)
{
	unsigned int needs = row->needs;

	if (!has_kind(table, kind))
		return false;
	if (needs & MATRIX_RC && table->type == IBV_QPT_UD)
		return false;
	if (needs & MATRIX_SRQ && !(table->traits & MATCH_SHARED))
		return false;
	if (table->traits & MATCH_EXTENDED ?
	    !(needs & (MATRIX_ANY | MATRIX_EXTENDED)) : needs & MATRIX_EXTENDED)
		return false;
	if (needs & MATRIX_MESSAGE && !match_is_message(kind))
		return false;
	if (needs & MATRIX_INLINE && kind > MATCH_WRITE_IMM)
		return false;
	return true;
}

struct cell {
	const struct ends *table;
	const struct matrix_situation *row;
	enum match_kind kind;
	unsigned int moving;
};

static void run_cell(const void *arg)
{
	const struct cell *c = arg;
	struct match m;

	dup2(1, 2);
	match_open(&m, c->table->type, c->table->traits, c->moving);
	m.no_receives = c->row->needs & MATRIX_NO_RECEIVES;
	match_connect(&m, IBV_QPS_RESET, c->row->state);
	c->row->run(&m, (struct match_op){ .kind = c->kind });
	match_validate(&m);
	match_close(&m);
}

static bool is_right(const struct cell *c)
{
	int status = apart(CELL_SECONDS, run_cell, c);

	if (status)
		match_clean();
	return !status;
}

static void run(unsigned int t, unsigned int r, const char *filter)
{
	const struct ends *table = &tables[t];
	const struct matrix_situation *row = &matrix_situations[r];
	enum match_kind kind;
	char name[160];
	unsigned int end;

	for (kind = 0; kind < MATCH_KINDS; kind++) {
		for (end = 0; end < ARRAY_SIZE(ends); end++) {
			snprintf(name, sizeof(name), "%s %s: %s, moved: %s",
				 table->name, row->name,
				 match_kind_name(kind), ends[end]);
			if (!exists(table, row, kind)) {
				results[t][r][kind][end] = NONE;
				continue;
			}
			if (filter && !strstr(name, filter))
				continue;
			results[t][r][kind][end] = is_right(&(struct cell){
				table, row, kind, end + 1
			}) ? RIGHT : WRONG;
			expect(RIGHT, results[t][r][kind][end], "%s", name);
		}
	}
}

static void plan(unsigned int t, unsigned int r)
{
	enum match_kind kind;
	unsigned int end;

	for (kind = 0; kind < MATCH_KINDS; kind++)
		for (end = 0; end < ARRAY_SIZE(ends); end++)
			results[t][r][kind][end] =
				exists(&tables[t], &matrix_situations[r], kind) ?
				RIGHT : NONE;
}

static void print_result(FILE *f, const enum result *of)
{
	static const char *const words[] = { "not run", "moves", "fails", "–" };
	unsigned int end;

	if (of[0] == of[1] && of[0] == of[2]) {
		fprintf(f, " %s |", words[of[0]]);
		return;
	}
	for (end = 0; end < ARRAY_SIZE(ends); end++)
		fprintf(f, "%s %s %s", end ? "," : "", ends[end], words[of[end]]);
	fprintf(f, " |");
}

static bool has_row(const struct ends *table, const struct matrix_situation *row)
{
	enum match_kind kind;

	for (kind = 0; kind < MATCH_KINDS; kind++)
		if (exists(table, row, kind))
			return true;
	return false;
}

static void print_table(FILE *f, unsigned int t)
{
	const struct ends *table = &tables[t];
	enum match_kind kind;
	unsigned int r;

	fprintf(f, "\n## %s\n\n| when |", table->title);
	for (kind = 0; kind < MATCH_KINDS; kind++)
		if (has_kind(table, kind))
			fprintf(f, " %s |", match_kind_name(kind));
	fprintf(f, "\n|---|");
	for (kind = 0; kind < MATCH_KINDS; kind++)
		if (has_kind(table, kind))
			fprintf(f, "---|");
	fprintf(f, "\n");
	for (r = 0; r < matrix_num_situations; r++) {
		if (!has_row(table, &matrix_situations[r]))
			continue;
		fprintf(f, "| %s |", matrix_situations[r].name);
		for (kind = 0; kind < MATCH_KINDS; kind++)
			if (has_kind(table, kind))
				print_result(f, results[t][r][kind]);
		fprintf(f, "\n");
	}
}

static void print(FILE *f)
{
	unsigned int t;

	fprintf(f,
		"<!-- Written by the test native/rxe/tests/matrix; do not edit. -->\n"
		"# What moves: states and operations\n\n"
		"Each cell is three runs of the driver's test `matrix`: the requester moves, the responder moves, both move.\n"
		"`moves`: in all three every operation was done once, in order, with the right data and completions, before the\n"
		"move and after it. A dash: there is no such case. `native/rxe/tests/run.sh` fails if a run gives another table.\n");
	for (t = 0; t < ARRAY_SIZE(tables); t++)
		print_table(f, t);
	fprintf(f, "\nrxe has no state SQE: an error of a UD send request ends in ERR. With shared receive queues, operations that take\n"
		   "no receive request are those of the first table. By the extended interfaces only situations run in which it matters\n"
		   "how requests were posted and completions read.\n");
}

int main(int argc, char **argv)
{
	bool planned = argc == 2 && !strcmp(argv[1], "plan");
	const char *filter = argc > 6 ? argv[6] : NULL;
	unsigned int t, r;
	FILE *table;

	if (!planned && argc < 5)
		errx(2, "usage: %s plan | NETNS_A DEVICE_A NETNS_B DEVICE_B [TABLE [CELL]]",
		     argv[0]);
	if (!planned) {
		match_place[0] = (struct match_place){ argv[1], argv[2] };
		match_place[1] = (struct match_place){ argv[3], argv[4] };
		match_prepare();
	}
	for (t = 0; t < ARRAY_SIZE(tables); t++)
		for (r = 0; r < matrix_num_situations; r++)
			if (planned)
				plan(t, r);
			else
				run(t, r, filter);
	if (planned) {
		print(stdout);
	} else if (argc > 5) {
		table = fopen(argv[5], "w");
		if (!table)
			err(1, "%s", argv[5]);
		print(table);
		fclose(table);
	}
	return expect_failed;
}
