# Two stages: packages are installed where there is a shell, and run where there is none.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m pip install --no-cache-dir --require-hashes --target /app -r requirements.lock
COPY worker worker
COPY config config
COPY docs/reasons.md docs/
RUN PYTHONPATH=/app python -m pip install --no-cache-dir --no-deps --no-build-isolation --target /app .
# A new volume has the owner of what the image has in its place: these are for deploy/compose.
RUN mkdir -p /state/broker /state/producer /state/sandbox /state/worker

FROM gcr.io/distroless/python3-debian12:nonroot@sha256:498e3cb48826d99bad1301994da60caa126b25c0ce03dc4e6a47a7c10fe02493
LABEL org.opencontainers.image.title="rotation-worker" \
      org.opencontainers.image.description="Puts a renewed certificate into service: stores it at the cloud gateway, re-attaches every domain and listener, proves it, and says so." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /app /app
COPY --from=build --chown=65532:65532 /state /var/lib/rotation-worker
COPY config/worker.toml /etc/rotation-worker/worker.toml
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ROTATION_CONFIG=/etc/rotation-worker/worker.toml
# Loopback inside a container reaches nobody: probes and scrapers come from outside it.
# There it serves the probes alone, until http.token_file or http.client_ca_file says who may see the rest.
ENV ROTATION_HTTP__LISTEN=0.0.0.0:8080 ROTATION_HTTP__ONLY_PROBES=true
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python3", "-c", "import sys, urllib.request; sys.exit(urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4).status != 200)"]
ENTRYPOINT ["python3", "-m", "worker"]
CMD ["run"]
