# Portcullis as a container. docs/docker.md says how to run it.
#
# Layers alone cache the dependencies, so that any builder will do, BuildKit or not.

FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /build

# The dependencies, with stubs in place of the sources: built again only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs benches/micro.rs benches/instructions.rs \
    && cargo build --release --locked --features dns \
    && cargo clean --release --package portcullis

COPY src src
# With SRV names: where containers are, there is a Consul or a Kubernetes to ask.
RUN cargo build --release --locked --features dns --bin portcullis


FROM docker.io/library/debian:bookworm-slim

# The authorities are for `https://` backends. They are never pinned: an old set of authorities is the worse one.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
    && groupadd --gid 10001 portcullis \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
        --home-dir /var/lib/portcullis --shell /usr/sbin/nologin portcullis \
    && install -d -m 0755 /etc/portcullis \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/portcullis

# No configuration is in the image: a container without one must say so and end, not pass for a healthy one.
COPY config/minimal.toml config/nestflux.toml config/reference.toml LICENSE /usr/share/doc/portcullis/
COPY --from=build /build/target/release/portcullis /usr/local/bin/portcullis

LABEL org.opencontainers.image.title="Portcullis" \
      org.opencontainers.image.description="A TLS-terminating edge for a NestJS backend and a single-page application" \
      org.opencontainers.image.licenses="MIT"

# The folder of what outlives a restart: compressed files and earlier builds of the client, and the authority of `{ dev = true }`.
VOLUME /var/lib/portcullis
ENV PORTCULLIS_CONFIG=/etc/portcullis/portcullis.toml \
    PORTCULLIS_DEV_DIR=/var/lib/portcullis/dev

# As numbers, so that an orchestrator can see that this is not root.
USER 10001:10001
WORKDIR /var/lib/portcullis

EXPOSE 80 443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s --retries=3 CMD ["portcullis", "status"]
ENTRYPOINT ["portcullis"]
CMD ["run"]
