# needs: iproute2 netbase python3
# network
# What a fresh network namespace and the loopback inside the sandbox have in common.
ip -o link show lo | sed 's/ state .*//'
ip -o -4 addr show dev lo | awk '{print $2, $3, $4}'; ip -o -6 addr show dev lo | awk '{print $2, $3, $4}'
ip route get 127.0.0.1 | head -1 | sed 's/ uid.*//; s/ *$//'
ip rule | wc -l; ip link show nosuch 2>&1
for file in address carrier flags ifindex mtu operstate tx_queue_len type; do echo $file $(cat /sys/class/net/lo/$file); done
cut -d: -f1 /proc/net/dev | grep -c '^ *lo$'
/usr/bin/python3 - <<'P'
import socket, subprocess
server = socket.create_server(("127.0.0.1", 4711)); six = socket.create_server(("::1", 4712), family=socket.AF_INET6)
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagram.bind(("127.0.0.1", 4713))
client = socket.create_connection(("127.0.0.1", 4711)); accepted, _ = server.accept()
def run(*command): return subprocess.run(command, capture_output=True, text=True).stdout
def listed(*flags):
    return sorted(" ".join(line.split()[:2] + line.split()[4:5]) for line in run("ss", "-Hn", *flags, "-a").splitlines() if "TIME-WAIT" not in line and ":471" in line.split()[3] + line.split()[4])
for flags in ["-4t", "-6t", "-4u"]:
    print(flags, sorted(l.replace(str(client.getsockname()[1]), "PORT") for l in listed(flags[:2], "-" + flags[2])))
import os
def state(name, port):
    for line in open("/proc/net/" + name):
        columns = line.split()
        if columns[1].endswith(":%04X" % port): yield columns[1], columns[3], columns[7], int(columns[9])
for name, port, s in [("tcp", 4711, server), ("tcp6", 4712, six), ("udp", 4713, datagram)]:
    inode = os.fstat(s.fileno()).st_ino
    print(name, [(a, st, uid) for a, st, uid, i in state(name, port) if i == inode])
print(socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)[-1][4][0])
print(socket.getaddrinfo("127.0.0.1", "http", type=socket.SOCK_STREAM)[0][4])
try: socket.getaddrinfo("name.invalid", 80)
except socket.gaierror: print("no such name")
print((1, "lo") in socket.if_nameindex(), socket.if_nametoindex("lo"))
import fcntl, struct
s = socket.socket(); ask = lambda n: fcntl.ioctl(s, n, struct.pack("16s24x", b"lo"))[16:]
for n in (0x8913, 0x8915, 0x8919, 0x891b, 0x8921, 0x8927, 0x8933, 0x8942): print(hex(n), ask(n)[:16].hex())
P
