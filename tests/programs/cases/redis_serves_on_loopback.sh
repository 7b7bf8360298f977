# needs: redis-server redis-tools
# network
redis-server --port 7391 --save '' --daemonize no --logfile redis.log --dir . > /dev/null & pid=$!
for i in $(seq 100); do redis-cli -p 7391 ping 2>/dev/null | grep -q PONG && break; sleep 0.05; done
redis-cli -p 7391 set k v; redis-cli -p 7391 get k; for i in 1 2 3; do redis-cli -p 7391 rpush l $i; done; redis-cli -p 7391 lrange l 0 -1
redis-benchmark -p 7391 -q -n 2000 -c 10 -t get,set 2>/dev/null | tr '\r' '\n' | grep -c 'requests per second'
redis-cli -p 7391 bgsave > /dev/null; sleep 0.3; ls dump.rdb; redis-cli -p 7391 shutdown nosave; wait $pid; echo "server: $?"
