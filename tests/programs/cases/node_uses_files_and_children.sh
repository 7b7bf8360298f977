# needs: nodejs
cat > m.js <<'J'
const fs = require('fs'), cp = require('child_process'), http = require('http');
fs.writeFileSync('f', 'text'); console.log(fs.readFileSync('f', 'utf8'), fs.statSync('f').size);
console.log(cp.execSync('echo sync').toString().trim());
const c = cp.spawn('sh', ['-c', 'cat; exit 2']); c.stdout.on('data', d => console.log('out', d.toString())); c.on('close', code => {
  console.log('code', code);
  const s = http.createServer((q, r) => r.end('pong ' + q.url)).listen(0, '127.0.0.1', () => http.get({ port: s.address().port, path: '/x' }, r => r.on('data', d => { console.log(d.toString()); s.close(); })));
});
c.stdin.end('to child'); setTimeout(() => console.log('timer'), 5); fs.promises.readdir('.').then(l => console.log(l.sort().join()));
J
/usr/bin/node m.js | sort
