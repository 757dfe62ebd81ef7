# docker build -t mcp-oauth-server .
FROM oven/bun:1.4.5 AS build
WORKDIR /src
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile
COPY . .
RUN bun run build

FROM debian:bookworm-slim
COPY --from=build /src/dist/mcp-oauth-server /usr/local/bin/
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin mcp && install -d -o mcp -g mcp -m 700 /data
USER mcp
WORKDIR /data
ENV HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
VOLUME /data
EXPOSE 3000
# The image has no curl, but Bash can ask.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3"]
ENTRYPOINT ["mcp-oauth-server"]
