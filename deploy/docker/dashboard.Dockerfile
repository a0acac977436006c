# syntax=docker/dockerfile:1

# The dashboard: rastro with its web pages built in. The role dashboard serves them and signs people in; the binary plays every
# other role as well, so that one image is enough for a small place.
#
#   docker build -f deploy/docker/dashboard.Dockerfile --build-arg VERSION="$(git describe --tags --always)" \
#     --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" -t rastro-dashboard .
#
# The same sources, VERSION and SOURCE_DATE_EPOCH make the same binary, bit by bit; with
# `--output type=image,rewrite-timestamp=true` the same image. The context is the root of the repository.

ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm
ARG NODE_IMAGE=docker.io/library/node:20-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${NODE_IMAGE} AS pages
WORKDIR /src/dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY dashboard/ ./
RUN npm run --silent build

FROM ${GO_IMAGE} AS build
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-trimpath -buildvcs=false"
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=pages /src/dashboard/dist/ dashboard/dist/
ARG VERSION=devel
ARG TARGETOS=linux
ARG TARGETARCH=amd64
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -ldflags "-s -w -buildid= -X github.com/rastrohq/rastro/cli.version=${VERSION}" -o /out/rastro .

# What is in the binary, as CycloneDX: `docker build --target sbom --output . ...` writes it out.
FROM build AS inventory
ARG CYCLONEDX_VERSION=v1.9.0
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOFLAGS= go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@${CYCLONEDX_VERSION} \
    bin -json -noserial -output /out/rastro.cdx.json /out/rastro
# It says when it was made, which must not make the image another one.
ARG SOURCE_DATE_EPOCH=0
RUN sed -i "s/\"timestamp\": *\"[^\"]*\"/\"timestamp\": \"$(date -u -d "@${SOURCE_DATE_EPOCH}" +%Y-%m-%dT%H:%M:%SZ)\"/" /out/rastro.cdx.json

FROM scratch AS sbom
COPY --from=inventory /out/rastro.cdx.json /rastro.cdx.json

FROM ${RUNTIME_IMAGE} AS dashboard
ARG VERSION=devel
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="rastro-dashboard" \
      org.opencontainers.image.description="Track & trace engine: the dashboard" \
      org.opencontainers.image.source="https://github.com/rastrohq/rastro" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build --chmod=0555 /out/rastro /usr/local/bin/rastro
COPY --from=inventory --chmod=0444 /out/rastro.cdx.json /usr/share/sbom/rastro.cdx.json
COPY --chmod=0444 deploy/docker/certs/ /etc/rastro/certs/
# A number, so that Kubernetes sees that it is not root. Nothing is written: the root may be read-only.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/local/bin/rastro", "healthcheck", "--live"]
ENTRYPOINT ["/usr/local/bin/rastro"]
CMD ["serve", "dashboard"]
