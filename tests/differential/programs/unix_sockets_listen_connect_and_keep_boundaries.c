#include "check.h"
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void)
{
	struct sockaddr_un address = { AF_UNIX, "socket" }, peer;
	socklen_t length = sizeof address;
	char text[16] = { 0 };
	int server = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), client = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	TELL(connect(client, (void *)&address, length));
	TELL(bind(server, (void *)&address, length));
	TELL(bind(server, (void *)&address, length));
	TELL(connect(client, (void *)&address, length));
	TELL(listen(server, 1));
	TELL(connect(client, (void *)&address, length));
	TELL(connect(client, (void *)&address, length));
	int accepted = MUST(accept(server, (void *)&peer, &length));
	printf("length %d family %d\n", (int)length, peer.sun_family);
	length = sizeof peer;
	TELL(getpeername(client, (void *)&peer, &length));
	printf("%d %s\n", (int)length, peer.sun_path);
	TELL(write(client, "one", 3));
	TELL(write(client, "two", 3));
	TELL(recv(accepted, text, 4, MSG_PEEK));
	TELL(recv(accepted, text, 16, 0));
	printf("%s\n", text);
	TELL(recv(accepted, text, 16, MSG_DONTWAIT));
	TELL(shutdown(client, SHUT_WR));
	TELL(read(accepted, text, 16));
	TELL(write(accepted, "back", 4));
	TELL(read(client, text, 16));
	struct pollfd polled = { accepted, POLLIN | POLLOUT | POLLRDHUP, 0 };
	poll(&polled, 1, 0);
	printf("%x\n", polled.revents);
	TELL(accept4(server, NULL, NULL, SOCK_NONBLOCK * 2));
	fcntl(server, F_SETFL, O_NONBLOCK);
	TELL(accept(server, NULL, NULL));
	struct stat stat;
	lstat("socket", &stat);
	printf("%o\n", stat.st_mode);
	TELL(open("socket", O_RDWR));
	close(server);
	int late = socket(AF_UNIX, SOCK_STREAM, 0);
	length = sizeof address;
	TELL(connect(late, (void *)&address, length));
	int packets[2];
	for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_DGRAM) {
		MUST(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, packets));
		TELL(send(packets[0], "first", 5, 0));
		TELL(send(packets[0], "2", 1, 0));
		TELL(recv(packets[1], text, 2, MSG_TRUNC));
		TELL(recv(packets[1], text, 16, 0));
		TELL(recv(packets[1], text, 16, 0));
		close(packets[0]);
		TELL(recv(packets[1], text, 16, 0));
	}
	// The abstract namespace: no file, gone with its socket.
	struct sockaddr_un abstract = { AF_UNIX, "\0moat-test" };
	length = offsetof(struct sockaddr_un, sun_path) + 10;
	int a = socket(AF_UNIX, SOCK_DGRAM, 0), b = socket(AF_UNIX, SOCK_DGRAM, 0);
	TELL(bind(a, (void *)&abstract, length));
	TELL(bind(b, (void *)&abstract, length));
	TELL(sendto(b, "hello", 5, 0, (void *)&abstract, length));
	TELL(recv(a, text, 16, 0));
	close(a);
	TELL(bind(b, (void *)&abstract, length));
	TELL(socket(AF_UNIX, 77, 0));
	TELL(socket(99, SOCK_STREAM, 0));
	TELL(socket(AF_UNIX, SOCK_STREAM, 5));
	return 0;
}
