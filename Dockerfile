# The server and nothing else. Bases are pinned by full version; docs/deploy.md says how to pin them by digest, too.

# Node itself comes from here, in the image's platform.
FROM node:24.21.0-trixie-slim AS node

# Builds on the builder's own platform: what it makes is the same for all of them but for one binary.
FROM --platform=$BUILDPLATFORM node:24.21.0-trixie-slim AS build
ENV CI=true
RUN npm install --global pnpm@12.21.0
WORKDIR /app

# Kept until the lockfile changes; everything after this needs no network.
COPY pnpm-lock.yaml pnpm-workspace.yaml ./
RUN pnpm fetch --ignore-scripts

COPY . .
# The bundler is called by its path: the project's own Node, whose script did not run, would shadow the base's.
RUN pnpm install --offline --frozen-lockfile --ignore-scripts --filter '@task-orchestrator/server...' \
    && cd apps/server && node node_modules/tsdown/dist/run.mjs

# Production dependencies of the server alone, which are few, since it is bundled; without what only compilers and debuggers
# read: sources, types, source maps. better-sqlite3 brings its binaries for all platforms.
ARG TARGETARCH
RUN rm -rf node_modules packages/*/node_modules apps/*/node_modules \
    && pnpm install --offline --frozen-lockfile --ignore-scripts --prod --filter '@task-orchestrator/server' \
    && sqlite="$(readlink -f apps/server/node_modules/better-sqlite3)" \
    && binary="linux-$(echo "$TARGETARCH" | sed s/amd64/x64/).node" \
    && test -f "$sqlite/prebuilds/$binary" \
    && find "$sqlite/prebuilds" -type f ! -name "$binary" -delete \
    && rm -rf "$sqlite/deps" "$sqlite/src" apps/server/src apps/server/test \
    && find . -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' -o -name 'tsconfig*.json' \) -delete \
    && mkdir /data

FROM debian:13.8-slim
LABEL org.opencontainers.image.title="Task Orchestrator" \
      org.opencontainers.image.description="Durable task orchestrator for fleets of workers: REST, tRPC and MCP" \
      org.opencontainers.image.licenses="MIT"
# The same as in scripts/server-env.json, and where the server is.
ENV MALLOC_ARENA_MAX=2 \
    NODE_ENV=production \
    APP_ENV=production \
    APP_DATABASE_URL=sqlite:///data/tasks.db
WORKDIR /app
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app/LICENSE /app/package.json ./
COPY --from=build /app/config config
COPY --from=build /app/migrations migrations
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/apps/server apps/server
COPY --from=build --chown=1000:1000 /data /data
# No name is needed: whoever demands a user that is not root (Kubernetes) can only judge a number.
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["node", "apps/server/dist/check-health.js"]
# Node is process 1: the server handles SIGTERM and starts no processes that it would have to reap.
# The same flags as in scripts/server-flags.json.
ENTRYPOINT ["node", "--max-semi-space-size=8", "--heap-growing-percent=40", "--no-allocation-site-pretenuring", "--no-maglev", "apps/server/dist/main.js"]
