# needs: python3
# network
/usr/bin/python3 - <<'P'
import asyncio, socket, sys
async def handle(r, w):
    while line := await r.readline(): w.write(line.upper()); await w.drain()
    w.close()
async def client(port, i):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    w.write(f"hello {i}\n".encode()); line = await r.readline(); w.close(); return line
async def main():
    s = await asyncio.start_server(handle, "127.0.0.1", 0); port = s.sockets[0].getsockname()[1]
    print(await asyncio.gather(*[client(port, i) for i in range(20)]))
    p = await asyncio.create_subprocess_exec("echo", "sub", stdout=asyncio.subprocess.PIPE); print(await p.communicate())
    try: await asyncio.wait_for(asyncio.sleep(10), .05)
    except asyncio.TimeoutError: print("timed out")
asyncio.run(main())
a, b = socket.socketpair(); a.send(b"pair"); print(b.recv(9))
u1 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u1.bind(("127.0.0.1", 0))
u2 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u2.sendto(b"dgram", u1.getsockname()); print(u1.recv(99))
P
