#!/usr/bin/env bash
# Proves an installation in one command: ./test.sh [PORT]
# The key comes from GANTRY_API_KEY, else from the state folder. Ends with 0 when everything answered as it should.
set -euo pipefail
port=${1:-${PORT:-8787}}
url=http://127.0.0.1:$port
key=${GANTRY_API_KEY:-$(cat "${GANTRY_STATE:-.gantry}/api-key")}
failed=0

check() { # name, expected piece, actual
  if [[ $3 == *"$2"* ]]; then echo "ok    $1"; else echo "FAIL  $1: expected $2, got: $3"; failed=1; fi
}

check "health" '"status":"ok"' "$(curl -sS "$url/health")"
check "no key is refused" '401' "$(curl -sS -o /dev/null -w '%{http_code}' -d '{"query":"x"}' "$url/query")"
check "a wrong key is refused" '401' "$(curl -sS -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer wrong' -d '{"query":"x"}' "$url/query")"
check "a query is answered" '"success":true' "$(curl -sS -X POST -H 'Content-Type: application/json' -H "Authorization: Bearer $key" -d '{"query":"What is 2+2?"}' "$url/query")"
check "a prompt is answered" '"type":"result"' "$(curl -sS -H "Authorization: Bearer $key" -d '{"prompt":"What is 7 * 6?","stream":false}' "$url/claude-code")"
exit $failed
