# The image has the service, bundled with all packages that it needs, and nothing to build it with.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY build.mjs tsconfig.json ./
COPY openapi ./openapi
COPY src ./src
RUN node build.mjs service

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="kubiya-audit-bff" \
      org.opencontainers.image.description="Kubiya audit events for front ends: list, search, describe and live over one shared poller." \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
# Inside a container loopback would reach nobody. With a key, an AUTH_MODE or ALLOW_ANONYMOUS=true has to be said as well.
ENV HOST=0.0.0.0
EXPOSE 3000
USER node
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "dist/main.js"]
