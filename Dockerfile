# Build:  docker build -t healthd .
# Run:    docker run -p 9780:9780 -v ./etc:/etc/healthd:ro -v healthd-state:/var/lib/healthd healthd

# The interpreter is the same in all stages, because the environment built in one runs in the other.
FROM python:3.13-slim AS python

FROM python AS build
WORKDIR /src
RUN python -m venv /opt/healthd
# The dependencies are a layer of their own: it is built again only when the lock changes.
COPY requirements.lock ./
RUN /opt/healthd/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY playbooks playbooks
COPY config config
COPY healthd healthd
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
 && /opt/healthd/bin/python -m pip install --no-cache-dir --no-deps dist/*.whl

FROM python
RUN useradd --system --uid 10001 --home-dir /var/lib/healthd --create-home healthd \
 && install -d -o healthd -g healthd /etc/healthd
COPY --from=build /opt/healthd /opt/healthd
# Outside a container the daemon listens on loopback only; in one, nobody could reach it there.
ENV PATH=/opt/healthd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEALTHD_LISTEN_ADDRESS=0.0.0.0 \
    HEALTHD_LISTEN_PORT=9780
USER healthd
WORKDIR /var/lib/healthd
VOLUME /var/lib/healthd
EXPOSE 9780
# /-/healthy says that the process is alive and never depends on Kafka.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['HEALTHD_LISTEN_PORT']), timeout=4); c.request('GET', '/-/healthy'); sys.exit(c.getresponse().status != 200)"]
# SIGTERM may take as long as it takes to bring a stopped broker back: docker stop --time 1300.
STOPSIGNAL SIGTERM
ENTRYPOINT ["healthd"]
CMD ["run"]
