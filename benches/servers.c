// Three servers on free ports of loopback, which are printed: one closes each connection, one sends every byte
// back, one swallows all and answers one byte at the end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int listener, int kind)
{
	static char bytes[1 << 18];
	for (;;) {
		int stream = accept(listener, 0, 0);
		if (stream < 0)
			exit(1);
		int one = 1;
		setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		ssize_t length;
		while (kind && (length = read(stream, bytes, sizeof bytes)) > 0)
			if (kind == 1 && write(stream, bytes, length) != length)
				break;
		if (kind == 2 && write(stream, bytes, 1) != 1)
			exit(1);
		close(stream);
	}
}

int main(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t length = sizeof address;
		int listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)
		    || getsockname(listener, (struct sockaddr *)&address, &length))
			return 1;
		printf("127.0.0.1:%d%c", ntohs(address.sin_port), kind == 2 ? '\n' : ' ');
		fflush(stdout);
		pid_t child = fork();
		if (child < 0)
			return 1;
		if (!child)
			serve(listener, kind);
	}
	pause();
}
