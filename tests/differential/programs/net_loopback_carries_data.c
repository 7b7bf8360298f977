#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

int main(void)
{
	struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof address;
	char *large = malloc(1 << 20), text[32] = { 0 };
	int server = MUST(socket(AF_INET, SOCK_STREAM, 0)), client = MUST(socket(AF_INET, SOCK_STREAM, 0)), one = 1;
	TELL(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	TELL(bind(server, (void *)&address, length));
	TELL(listen(server, 5));
	TELL(getsockname(server, (void *)&address, &length));
	SHOW(ntohs(address.sin_port) > 0);
	pid_t child = fork();
	if (!child) {
		TELL(connect(client, (void *)&address, sizeof address));
		memset(large, 'x', 1 << 20);
		ssize_t sent = 0, count;
		while (sent < 1 << 20 && (count = write(client, large + sent, (1 << 20) - sent)) > 0)
			sent += count;
		shutdown(client, SHUT_WR);
		read(client, text, 32);
		printf("client got %s after sending %zd\n", text, sent);
		_exit(0);
	}
	int accepted = MUST(accept(server, NULL, NULL));
	ssize_t received = 0, count;
	while ((count = read(accepted, large, 1 << 16)) > 0)
		received += count;
	printf("server got %zd\n", received);
	write(accepted, "thanks", 6);
	reap(child);
	close(accepted);
	close(server);
	TELL(connect(client, (void *)&address, sizeof address));
	int u = MUST(socket(AF_INET, SOCK_DGRAM, 0)), v = MUST(socket(AF_INET, SOCK_DGRAM, 0));
	address.sin_port = 0;
	TELL(bind(u, (void *)&address, sizeof address));
	getsockname(u, (void *)&address, &length);
	TELL(sendto(v, "datagram", 8, 0, (void *)&address, sizeof address));
	TELL(recv(u, text, 4, MSG_TRUNC));
	TELL(recv(u, text, 4, MSG_DONTWAIT));
	return 0;
}
