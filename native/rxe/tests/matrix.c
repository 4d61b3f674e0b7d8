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
#define ROWS		32

enum result { NOT_RUN, RIGHT, WRONG, NONE };

static const char *const ends[] = { "requester", "responder", "both" };

/* Of UD only the first two kinds exist. */
static enum result results[2][ROWS][MATCH_KINDS][ARRAY_SIZE(ends)];

static bool exists(bool ud, const struct matrix_situation *row,
		   enum match_kind kind)
{
	if (ud && (row->needs & MATRIX_RC || kind > MATCH_SEND_IMM))
		return false;
	if (row->needs & MATRIX_MESSAGE && !match_is_message(kind))
		return false;
	if (row->needs & MATRIX_INLINE && kind > MATCH_WRITE_IMM)
		return false;
	return true;
}

struct cell {
	bool ud;
	const struct matrix_situation *row;
	enum match_kind kind;
	unsigned int moving;
};

static void run_cell(const void *arg)
{
	const struct cell *c = arg;
	struct match m;

	dup2(1, 2);
	match_open(&m, c->ud ? IBV_QPT_UD : IBV_QPT_RC, c->moving);
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

static void run(bool ud, unsigned int r, const char *filter)
{
	const struct matrix_situation *row = &matrix_situations[r];
	enum match_kind kind;
	char name[160];
	unsigned int end;

	for (kind = 0; kind < MATCH_KINDS; kind++) {
		for (end = 0; end < ARRAY_SIZE(ends); end++) {
			snprintf(name, sizeof(name), "%s %s: %s, moved: %s",
				 ud ? "UD" : "RC", row->name,
				 match_kind_name(kind), ends[end]);
			if (!exists(ud, row, kind)) {
				results[ud][r][kind][end] = NONE;
				continue;
			}
			if (filter && !strstr(name, filter))
				continue;
			results[ud][r][kind][end] = is_right(&(struct cell){
				ud, row, kind, end + 1
			}) ? RIGHT : WRONG;
			expect(RIGHT, results[ud][r][kind][end], "%s", name);
		}
	}
}

static void plan(bool ud, unsigned int r)
{
	enum match_kind kind;
	unsigned int end;

	for (kind = 0; kind < MATCH_KINDS; kind++)
		for (end = 0; end < ARRAY_SIZE(ends); end++)
			results[ud][r][kind][end] =
				exists(ud, &matrix_situations[r], kind) ?
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

static void print_table(FILE *f, bool ud)
{
	enum match_kind kind, kinds = ud ? MATCH_WRITE : MATCH_KINDS;
	unsigned int r;

	fprintf(f, "\n## %s\n\n| when |", ud ? "Datagrams (UD)" : "Connections (RC)");
	for (kind = 0; kind < kinds; kind++)
		fprintf(f, " %s |", match_kind_name(kind));
	fprintf(f, "\n|---|");
	for (kind = 0; kind < kinds; kind++)
		fprintf(f, "---|");
	fprintf(f, "\n");
	for (r = 0; r < matrix_num_situations; r++) {
		if (ud && !exists(ud, &matrix_situations[r], MATCH_SEND))
			continue;
		fprintf(f, "| %s |", matrix_situations[r].name);
		for (kind = 0; kind < kinds; kind++)
			print_result(f, results[ud][r][kind]);
		fprintf(f, "\n");
	}
}

static void print(FILE *f)
{
	fprintf(f,
		"<!-- Written by the test native/rxe/tests/matrix; do not edit. -->\n"
		"# What moves: states and operations\n\n"
		"Each cell is three runs of the driver's test `matrix`: the requester moves, the responder moves, both move.\n"
		"`moves`: in all three every operation was done once, in order, with the right data and completions, before the\n"
		"move and after it. A dash: there is no such case. `native/rxe/tests/run.sh` fails if a run gives another table.\n");
	print_table(f, false);
	print_table(f, true);
	fprintf(f, "\nrxe has no state SQE: an error of a UD send request ends in ERR.\n");
}

int main(int argc, char **argv)
{
	bool planned = argc == 2 && !strcmp(argv[1], "plan");
	const char *filter = argc > 6 ? argv[6] : NULL;
	unsigned int ud, r;
	FILE *table;

	if (!planned && argc < 5)
		errx(2, "usage: %s plan | NETNS_A DEVICE_A NETNS_B DEVICE_B [TABLE [CELL]]",
		     argv[0]);
	if (!planned) {
		match_place[0] = (struct match_place){ argv[1], argv[2] };
		match_place[1] = (struct match_place){ argv[3], argv[4] };
		match_prepare();
	}
	for (ud = 0; ud < 2; ud++)
		for (r = 0; r < matrix_num_situations; r++)
			if (planned)
				plan(ud, r);
			else
				run(ud, r, filter);
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
