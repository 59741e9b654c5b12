# The image contains Node, the libraries that Node is linked to, and the bundled service. It has no shell and no package
# manager. Set NODE_IMAGE to a name with a digest to build on the same base again.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY build.mjs tsconfig.json ./
COPY openapi ./openapi
COPY src ./src
RUN node build.mjs service

# Libraries are found through ldd, because their paths differ by architecture. Scanners read status.d.
FROM ${NODE_IMAGE} AS runtime
RUN set -eu; mkdir -p /runtime/etc /runtime/var/lib/dpkg/status.d; \
    cp -L --parents -t /runtime /etc/os-release $(command -v node) $(ldd $(command -v node) | grep -o '/[^ ]*'); \
    for name in libc6 libgcc-s1 libstdc++6; do \
      dpkg-query --status $name >/runtime/var/lib/dpkg/status.d/$name; \
      cp -L --parents -t /runtime /usr/share/doc/$name/copyright; \
    done; \
    if [ -f /usr/local/LICENSE ]; then cp --parents -t /runtime /usr/local/LICENSE; fi; \
    echo 'node:x:1000:1000::/app:/sbin/nologin' >/runtime/etc/passwd; \
    echo 'node:x:1000:' >/runtime/etc/group

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="kubiya-audit-bff" \
      org.opencontainers.image.description="Kubiya audit events for front ends: list, search, describe and live over one shared poller." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=runtime /runtime /
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/dist ./dist
# A container must not listen on loopback only. With a key, AUTH_MODE or ALLOW_ANONYMOUS=true is required as well.
ENV HOST=0.0.0.0 \
    PATH=/usr/local/bin
EXPOSE 3000
# A number, so that Kubernetes can verify that it is not root.
USER 1000:1000
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["node", "-e", "require('node:http').get({ port: process.env.PORT || 3000, path: '/livez' }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
