#include "check.h"

static unsigned hash(const unsigned char *bytes, size_t count)
{
	unsigned value = 2166136261u;
	for (size_t i = 0; i < count; i++)
		value = (value ^ bytes[i]) * 16777619u;
	return value;
}

int main(void)
{
	size_t size = 3 << 20;
	unsigned char *out = malloc(size), *in = malloc(size);
	for (size_t i = 0; i < size; i++)
		out[i] = i * 2654435761u >> 13;
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	size_t sizes[] = { 1, 7, 512, 4095, 4096, 4097, 65536, 100003 };
	size_t done = 0;
	for (int i = 0; done < size; i++) {
		size_t count = sizes[i % COUNT(sizes)];
		if (count > size - done)
			count = size - done;
		if (write(fd, out + done, count) != (ssize_t)count)
			printf("short write\n");
		done += count;
	}
	lseek(fd, 0, SEEK_SET);
	done = 0;
	for (int i = 3;; i++) {
		ssize_t count = read(fd, in + done, sizes[i % COUNT(sizes)] < size - done ? sizes[i % COUNT(sizes)] : size - done);
		if (count <= 0)
			break;
		done += count;
	}
	printf("%zu %x %d\n", done, hash(in, size), !memcmp(in, out, size));
	unsigned char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	printf("%x\n", hash(map, size));
	map[1234567] ^= 0xff;
	pread(fd, in, 1, 1234567);
	SHOW(in[0] == (unsigned char)(out[1234567] ^ 0xff));
	TELL(fsync(fd));
	TELL(fdatasync(fd));
	TELL(syncfs(fd));
	TELL(sync_file_range(fd, 0, 4096, 0));
	TELL(sync_file_range(fd, 0, 4096, 99));
	return 0;
}
