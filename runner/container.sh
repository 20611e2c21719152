#!/bin/sh
# Entry point of the container image. Passes the container's environment (worker/sandbox/container.ts) to the runner as
# settings on standard input, and clears it, so that no process in the container shows them in its /proc/*/environ.
set -eu

# The platform inspects outgoing TLS traffic to add credentials. Its certificate is added to the system's.
ca=/etc/cloudflare/certs/cloudflare-containers-ca.crt
bundle=/session/ca.pem
if [ -f "$ca" ]; then cat /etc/ssl/certs/ca-certificates.crt "$ca" >"$bundle"; else bundle=; fi

path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# A container without a session runs alone. Its environment provides defaults for its own routes (http/container-routes.ts).
session=
variables='{}'
if [ -n "${GANTRY_SESSION:-}" ]; then
  session="\"session\":\"$GANTRY_SESSION\","
else
  variables=$(jq -nc 'env | with_entries(select(.key | test("^(CLAUDE_(PROMPT|STREAM|VERBOSE|MAX_TURNS)|ANTHROPIC_(MODEL|BASE_URL|AUTH_TOKEN|API_KEY))$")))')
fi
exec env -i PATH="$path" LANG=C.UTF-8 NODE_COMPILE_CACHE=/app/.compiled \
  tini -- node /app/runner/main.ts <<SETTINGS
{"host":"0.0.0.0","port":8080,"token":"$GANTRY_TOKEN",$session"variables":$variables,"root":"/session","workspace":"/workspace","markerPrefix":"container:","path":"$path","caFile":"$bundle","idleMs":86400000,"maxEngines":1,"pool":{"size":0,"first":null}}
SETTINGS
