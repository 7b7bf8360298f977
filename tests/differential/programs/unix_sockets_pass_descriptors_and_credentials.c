#include "check.h"
#include <sys/socket.h>
#include <sys/uio.h>

int main(void)
{
	int pair[2], on = 1;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	put("file", "through a socket", 0644);
	IN_CHILD({
		int fd = MUST(open("file", O_RDONLY));
		char control[CMSG_SPACE(sizeof fd)] = { 0 };
		struct iovec vector = { "x", 1 };
		struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(header), &fd, sizeof fd);
		TELL(sendmsg(pair[1], &message, 0));
	});
	char control[256], byte, text[32] = { 0 };
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	TELL(recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC));
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		printf("level %d type %d length %zu\n", header->cmsg_level, header->cmsg_type, (size_t)header->cmsg_len);
		if (header->cmsg_type == SCM_RIGHTS) {
			int fd;
			memcpy(&fd, CMSG_DATA(header), sizeof fd);
			TELL(fcntl(fd, F_GETFD));
			TELL(read(fd, text, 31));
			printf("%s\n", text);
		}
	}
	write(pair[1], "y", 1);
	message.msg_controllen = sizeof control;
	TELL(recvmsg(pair[0], &message, 0));
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	struct ucred *credentials = (void *)CMSG_DATA(header);
	printf("type %d pid %d uid %d gid %d\n", header->cmsg_type, credentials->pid == getpid(), credentials->uid == getuid(), credentials->gid == getgid());
	struct ucred peer;
	socklen_t length = sizeof peer;
	TELL(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &length));
	printf("pid %d uid %d\n", peer.pid == getpid(), peer.uid == getuid());
	signal(SIGPIPE, SIG_IGN);
	close(pair[1]);
	TELL(read(pair[0], text, 1));
	TELL(write(pair[0], text, 1));
	TELL(send(pair[0], text, 1, MSG_NOSIGNAL));
	return 0;
}
