#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void show(const char *what, int fd)
{
	char text[128];
	struct pollfd polled = { fd, POLLIN, 0 };
	ssize_t count = -2, more;
	// It may come in pieces.
	while (poll(&polled, 1, 100) > 0 && (more = read(fd, text + (count < 0 ? 0 : count), sizeof text - 64)) > 0)
		count = (count < 0 ? 0 : count) + more;
	printf("%s (%zd): ", what, count);
	for (ssize_t i = 0; i < count; i++)
		if (text[i] < 32 || text[i] == 127)
			printf("\\x%02x", text[i]);
		else
			putchar(text[i]);
	printf("\n");
}

int main(void)
{
	int master = MUST(posix_openpt(O_RDWR | O_NOCTTY));
	MUST(grantpt(master));
	MUST(unlockpt(master));
	int slave = MUST(open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK));
	write(master, "\023typed\n", 7);
	show("echo while it is stopped", master);
	show("the line is read nevertheless", slave);
	TELL(write(slave, "x", 1));
	struct pollfd polled = { slave, POLLOUT, 0 };
	TELL(poll(&polled, 1, 0));
	write(master, "\021", 1);
	show("echo", master);
	TELL(poll(&polled, 1, 0));
	TELL(write(slave, "x", 1));
	show("output", master);

	TELL(tcflow(slave, TCOOFF));
	TELL(write(slave, "x", 1));
	write(master, "more\n", 5);
	show("echo while it is stopped", master);
	// Only the program that stopped it so can start it again,
	write(master, "\021", 1);
	show("not even by the key", master);
	TELL(tcflow(slave, TCOON));
	show("echo", master);
	show("the line", slave);
	// and nothing else by the same means.
	write(master, "\023", 1);
	show("stopped", master);
	TELL(tcflow(slave, TCOON));
	TELL(write(slave, "x", 1));
	write(master, "\021", 1);
	show("started", master);

	TELL(tcflow(slave, TCIOFF));
	show("asked to stop", master);
	TELL(tcflow(slave, TCION));
	show("asked to go on", master);

	// What ^C flushes is gone, the echo that is held with it.
	write(master, "\023lost\003", 6);
	show("after the interrupt", master);
	TELL(write(slave, "y", 1));
	show("output", master);

	struct termios termios;
	write(master, "\023held", 5);
	show("stopped", master);
	tcgetattr(slave, &termios);
	termios.c_iflag &= ~IXON;
	TELL(tcsetattr(slave, TCSANOW, &termios));
	TELL(write(slave, "z", 1));
	show("no flow control", master);
	write(master, "\023\021\n", 3);
	show("without a meaning", slave);
	return 0;
}
