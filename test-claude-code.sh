#!/usr/bin/env bash
# Exercises POST /claude-code by hand: ./test-claude-code.sh [URL]
# The key comes from GANTRY_API_KEY, else from the state folder.
set -euo pipefail
url=${1:-http://127.0.0.1:${PORT:-8787}}
key=${GANTRY_API_KEY:-$(cat "${GANTRY_STATE:-.gantry}/api-key")}

ask() {
  echo
  echo "== $1"
  curl -sS -N -H "Authorization: Bearer $key" -d "$2" "$url/claude-code"
}

echo "== health"
curl -sS "$url/health"
ask "a stream" '{"prompt":"What is 7 * 6?"}'
ask "one object" '{"prompt":"What is 7 * 6?","stream":false}'
ask "one object with all messages" '{"prompt":"What is 7 * 6?","stream":false,"verbose":true}'
ask "a program, written and run" '{"prompt":"Create a hello world app","permissionMode":"bypassPermissions"}'
ask "a bad request" '{"prompt":"x","maxTurns":-1}'
echo
