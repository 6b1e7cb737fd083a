/* Reads numbers from a file and writes them back sorted, with what stdio, malloc and qsort do for it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int compare(const void *left, const void *right)
{
	long a = *(const long *)left, b = *(const long *)right;
	return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s INPUT OUTPUT\n", argv[0]);
		return 200;
	}
	FILE *input = fopen(argv[1], "r");
	if (!input) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 3;
	}
	long *numbers = NULL, number;
	size_t count = 0;
	while (fscanf(input, "%ld", &number) == 1) {
		numbers = realloc(numbers, (count + 1) * sizeof *numbers);
		if (!numbers)
			return 4;
		numbers[count++] = number;
	}
	fclose(input);
	qsort(numbers, count, sizeof *numbers, compare);
	FILE *output = fopen(argv[2], "w");
	if (!output) {
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		return 5;
	}
	for (size_t i = 0; i < count; i++)
		fprintf(output, "%ld\n", numbers[i]);
	fclose(output);
	struct stat status;
	if (stat(argv[2], &status) != 0)
		return 6;
	printf("%zu numbers, %lld bytes, home %s\n", count, (long long)status.st_size, getenv("HOME") ? getenv("HOME") : "none");
	return 0;
}
