# needs: nginx-light curl
# network
mkdir -p www logs; echo '<h1>page</h1>' > www/index.html; head -c 300000 /dev/zero | tr '\0' x > www/big
cat > n.conf <<N
daemon off; pid $PWD/n.pid; error_log $PWD/logs/e; worker_processes 2; user root;
events {}
http { access_log $PWD/logs/a; client_body_temp_path $PWD/1; proxy_temp_path $PWD/2; fastcgi_temp_path $PWD/3; uwsgi_temp_path $PWD/4; scgi_temp_path $PWD/5;
server { listen 127.0.0.1:7392; root $PWD/www; } }
N
/usr/sbin/nginx -p "$PWD" -c "$PWD/n.conf" & pid=$!
for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:7392/ && break; sleep 0.05; done
curl -s http://127.0.0.1:7392/; curl -s http://127.0.0.1:7392/big | md5sum; curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:7392/none
for i in $(seq 10); do curl -s http://127.0.0.1:7392/ & done | sort | uniq -c | sed 's/^ *//'; kill -QUIT $pid; wait $pid; echo "server: $?"
