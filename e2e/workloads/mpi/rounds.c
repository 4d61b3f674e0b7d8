// SPDX-License-Identifier: Apache-2.0
// Rounds of MPI messages whose every value is known beforehand: what arrives is compared.
//
// usage: mpi-rounds pingpong|allreduce SECONDS BYTES, by mpirun
//   pingpong: rank 0 sends to each other rank in turn, which answers; allreduce: all ranks sum up a vector.
// Rank 0 prints `progress ROUNDS` now and then, and at the end one line of JSON. Exit status: 0 all values were right, 1 some
// were not, 2 usage.
#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../ledger/number.h"

#define PROGRESS_S	2
#define MAX_BYTES	(16u << 20)
#define TAG		7

struct run {
	int rank, ranks;
	int64_t round, wrong;
	// Of a vector. Element 0 says whether this is the last round; the others follow from round and sender.
	int count;
	int64_t *sent, *received;
	// By the wall clock: the monotonic clock is another one after a move.
	time_t end, progress;
};

// Sums of these over some ranks stay far from the limits of 64 bits.
static int64_t value(const struct run *run, int sender, int i)
{
	uint64_t x = (uint64_t)run->round * 0x9e3779b97f4a7c15u + (uint64_t)sender * 0xbf58476d1ce4e5b9u +
		     (uint64_t)i * 0x94d049bb133111ebu;

	x ^= x >> 31;
	x *= 0xd6e8feb86659fd93u;
	return (int64_t)(x >> 16);
}

static void fill(struct run *run, bool last)
{
	run->sent[0] = last;
	for (int i = 1; i < run->count; i++)
		run->sent[i] = value(run, run->rank, i);
	// What an earlier round has left cannot pass for what arrives.
	memset(run->received, 0xff, (size_t)run->count * sizeof(*run->received));
}

static void expect(struct run *run, int i, int64_t wanted)
{
	if (run->received[i] == wanted)
		return;
	if (!run->wrong++)
		fprintf(stderr, "rank %d, round %lld, element %d: %lld instead of %lld\n", run->rank,
			(long long)run->round, i, (long long)run->received[i], (long long)wanted);
}

static void receive(struct run *run, int sender)
{
	MPI_Recv(run->received, run->count, MPI_INT64_T, sender, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	for (int i = 1; i < run->count; i++)
		expect(run, i, value(run, sender, i));
}

static void send_to(struct run *run, int receiver)
{
	MPI_Send(run->sent, run->count, MPI_INT64_T, receiver, TAG, MPI_COMM_WORLD);
}

// Each returns whether that was the last round.
static bool pingpong(struct run *run, bool last)
{
	if (run->rank) {
		fill(run, last);
		receive(run, 0);
		last = run->received[0] == 1;
		send_to(run, 0);
		return last;
	}
	for (int other = 1; other < run->ranks; other++) {
		fill(run, last);
		send_to(run, other);
		receive(run, other);
	}
	return last;
}

static bool allreduce(struct run *run, bool last)
{
	fill(run, last);
	MPI_Allreduce(run->sent, run->received, run->count, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
	for (int i = 1; i < run->count; i++) {
		int64_t sum = 0;

		for (int sender = 0; sender < run->ranks; sender++)
			sum += value(run, sender, i);
		expect(run, i, sum);
	}
	return run->received[0] > 0;
}

static bool is_last(struct run *run)
{
	time_t now = time(NULL);

	if (run->rank)
		return false;
	if (now >= run->progress) {
		printf("progress %lld\n", (long long)run->round);
		fflush(stdout);
		run->progress = now + PROGRESS_S;
	}
	return now >= run->end;
}

static int rounds(struct run *run, const char *test, bool (*step)(struct run *, bool))
{
	int64_t wrong = 0;

	while (!step(run, is_last(run)))
		run->round++;
	MPI_Allreduce(&run->wrong, &wrong, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
	if (!run->rank) {
		printf("{\"test\":\"%s\",\"ranks\":%d,\"rounds\":%lld,\"wrong\":%lld}\n", test, run->ranks,
		       (long long)run->round + 1, (long long)wrong);
		fflush(stdout);
	}
	return wrong ? 1 : 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: mpi-rounds pingpong|allreduce SECONDS BYTES (16 to %u)\n", MAX_BYTES);
	return 2;
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	bool pings = argc == 4 && !strcmp(argv[1], "pingpong");
	long seconds, bytes;
	int ret = 2;

	if (argc != 4 || (!pings && strcmp(argv[1], "allreduce")) ||
	    !number_parse(argv[2], 1, LONG_MAX, &seconds) ||
	    !number_parse(argv[3], 2 * sizeof(int64_t), MAX_BYTES, &bytes))
		return usage();
	run.count = (int)(bytes / (long)sizeof(int64_t));
	run.sent = malloc((size_t)bytes);
	run.received = malloc((size_t)bytes);
	if (!run.sent || !run.received) {
		fprintf(stderr, "no memory for messages of %ld bytes\n", bytes);
		goto out;
	}
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &run.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &run.ranks);
	if (run.ranks < 2) {
		fprintf(stderr, "mpi-rounds takes two ranks or more\n");
	} else {
		run.progress = time(NULL);
		run.end = run.progress + (time_t)seconds;
		ret = rounds(&run, argv[1], pings ? pingpong : allreduce);
	}
	MPI_Finalize();
out:
	free(run.sent);
	free(run.received);
	return ret;
}
