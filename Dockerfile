# Two stages: packages are installed where there is a shell, and run where there is none.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m pip install --no-cache-dir --require-hashes --target /app -r requirements.lock
COPY worker worker
COPY config config
RUN PYTHONPATH=/app python -m pip install --no-cache-dir --no-deps --no-build-isolation --target /app .

FROM gcr.io/distroless/python3-debian12:nonroot@sha256:498e3cb48826d99bad1301994da60caa126b25c0ce03dc4e6a47a7c10fe02493
COPY --from=build /app /app
COPY config/worker.toml /etc/rotation-worker/worker.toml
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ROTATION_CONFIG=/etc/rotation-worker/worker.toml
# Loopback inside a container reaches nobody: probes and scrapers come from outside it.
ENV ROTATION_HTTP__LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python3", "-c", "import sys, urllib.request; sys.exit(urllib.request.urlopen('http://127.0.0.1:8080/livez', timeout=4).status != 200)"]
ENTRYPOINT ["python3", "-m", "worker"]
CMD ["run"]
