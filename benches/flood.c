// Keeps a number of children of one command running for a time, and prints how many of them ended in a second
// and how long one took, in milliseconds: `rate p50 p99`.
//
//   flood CHILDREN SECONDS PROGRAM [ARGUMENT]...
//
// In C, since it shares the processors with what it measures.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
	pid_t pid;
	double since;
};

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void start(struct child *child, char **command) {
	child->since = now();
	// The parent waits until the child has become the program: nothing is copied.
	child->pid = vfork();
	if (child->pid == 0) {
		execv(command[0], command);
		_exit(127);
	}
	if (child->pid < 0) {
		perror("flood: vfork");
		exit(1);
	}
}

static int by_size(const void *left, const void *right) {
	double difference = *(const double *)left - *(const double *)right;
	return (difference > 0) - (difference < 0);
}

int main(int count, char **words) {
	if (count < 4)
		return 2;
	int children = atoi(words[1]), running = children;
	double seconds = atof(words[2]);
	char **command = words + 3;
	struct child *child = calloc(children, sizeof *child);
	size_t done = 0, room = 1 << 20;
	double *latencies = malloc(room * sizeof *latencies);
	int null = open("/dev/null", O_RDWR);
	int report = fcntl(1, F_DUPFD_CLOEXEC, 3);
	dup2(null, 0);
	dup2(null, 1);

	double begin = now(), last = begin;
	for (int index = 0; index < children; index++)
		start(&child[index], command);
	while (running > 0) {
		int status;
		pid_t pid = wait4(-1, &status, 0, NULL);
		if (pid < 0) {
			if (errno == EINTR)
				continue;
			perror("flood: wait4");
			return 1;
		}
		int index = 0;
		while (index < children && child[index].pid != pid)
			index++;
		if (index == children)
			continue;
		if (status != 0) {
			fprintf(stderr, "flood: %s ended with status %#x\n", command[0], status);
			return 1;
		}
		double time = now();
		child[index].pid = 0;
		// Those that end after the time have fewer beside them: they do not count.
		if (time - begin < seconds && done < room) {
			latencies[done++] = time - child[index].since;
			last = time;
			start(&child[index], command);
		} else {
			running--;
		}
	}
	if (done == 0)
		return 1;
	qsort(latencies, done, sizeof *latencies, by_size);
	dprintf(report, "%.1f %.3f %.3f\n", done / (last - begin), latencies[done / 2] * 1e3,
		latencies[done * 99 / 100] * 1e3);
	return 0;
}
