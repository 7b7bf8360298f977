# needs: python3
/usr/bin/python3 - <<'P'
import threading, subprocess, queue, multiprocessing, concurrent.futures, os, signal, time
q = queue.Queue(); out = []
def work():
    while (n := q.get()) is not None: out.append(n * n)
ts = [threading.Thread(target=work) for _ in range(8)]; [t.start() for t in ts]
[q.put(i) for i in range(500)]; [q.put(None) for _ in ts]; [t.join() for t in ts]
print(sum(out), len(out))
print(subprocess.run(["sh", "-c", "cat; exit 3"], input=b"in", capture_output=True))
p = subprocess.Popen(["sleep", "20"]); p.terminate(); print(p.wait())
with concurrent.futures.ThreadPoolExecutor(4) as e: print(sum(e.map(len, ["x" * i for i in range(100)])))
with multiprocessing.Pool(3) as pool: print(pool.map(abs, range(-5, 5)))
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, .05); time.sleep(.2)
r, w = os.pipe()
if os.fork() == 0: os.write(w, b"child"); os._exit(7)
print(os.read(r, 9), os.waitstatus_to_exitcode(os.wait()[1]))
P
