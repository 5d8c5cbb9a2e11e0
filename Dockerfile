FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The container is given a database; it never fetches one.
RUN cargo build --release --locked --no-default-features --bin holdfast

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 65532 --create-home --home-dir /var/lib/holdfast holdfast
COPY --from=build /src/target/release/holdfast /usr/local/bin/holdfast
USER holdfast
WORKDIR /var/lib/holdfast
ENV HOLDFAST_LISTEN=0.0.0.0:8080 HOLDFAST_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD curl -fsS http://127.0.0.1:8080/readyz || exit 1
STOPSIGNAL SIGTERM
ENTRYPOINT ["holdfast"]
