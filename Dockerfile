# The sandbox of one session on Cloudflare: the runner, the engine, and what agents use. It runs as nobody in particular,
# holds no key, and nothing of ours in it is the agent's to change.

# The engine comes with its SDK; its size is nearly that of the image. A stage of its own, so that changes of the sources
# do not install it again.
FROM node:24-slim AS engine
WORKDIR /app
RUN echo '{"private":true,"type":"module","workspaces":["protocol","runner"]}' >package.json
COPY package-lock.json ./
COPY protocol/package.json protocol/
COPY runner/package.json runner/
RUN npm install --workspace runner --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error

FROM node:24-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates curl git jq procps python3 ripgrep tini \
  && rm -rf /var/lib/apt/lists/* /var/log/*

# Compilers and headers, for agents that build native code: `image_vars` in wrangler.jsonc, or `--build-arg BUILD_TOOLS=1`.
ARG BUILD_TOOLS=0
RUN if [ "$BUILD_TOOLS" = 1 ]; then \
    apt-get update \
    && apt-get install -y --no-install-recommends build-essential pkg-config python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/log/*; \
  fi

RUN useradd --create-home --uid 10001 --shell /bin/bash agent \
  && mkdir --parents /workspace /session /mnt \
  && chown agent:agent /workspace /session /mnt

WORKDIR /app
COPY --from=engine /app ./
COPY protocol protocol
COPY runner runner
# One start, for its compiled code: the starts that count need not compile it again.
RUN echo '{"host":"127.0.0.1","port":0,"token":"build","root":"/tmp/build","markerPrefix":"build:","path":"","idleMs":1,"maxEngines":1,"pool":{"size":0,"first":null}}' \
  | NODE_COMPILE_CACHE=/app/.compiled node runner/main.ts && rm -rf /tmp/build

USER agent
WORKDIR /workspace
EXPOSE 8080
# Whoever has no token is told so: it listens.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
  CMD curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/health | grep -q 401
ENTRYPOINT ["/app/runner/container.sh"]
