# The service with its embedded model; docs/deployment.md says how to run it.
# Everything is made in the first stage and read in the second, which writes to /var/lib/llm-stream
# only, so that its root can be read-only.
FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY LICENSE README.md config.toml constraints.txt pyproject.toml ./
COPY docs/ docs/
COPY llm_stream/ llm_stream/
COPY static/ static/
COPY templates/ templates/
ENV XDG_DATA_HOME=/opt/llm-stream/share
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/llm-stream \
    && /opt/llm-stream/bin/pip install -c constraints.txt '.[local,otel]' \
    && /opt/llm-stream/bin/llm-stream pull
# What makes the site of the documents stays behind.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --target /tmp/docs -c constraints.txt furo mmdr myst-parser sphinx \
    && PYTHONPATH=/tmp/docs /opt/llm-stream/bin/python -m sphinx --quiet --doctree-dir /tmp/doctrees \
      docs "$(/opt/llm-stream/bin/python -P -c 'from llm_stream.resources import site; print(site())')"

FROM python:3.13-slim-trixie
# By number, for Kubernetes to see that it is not root.
RUN groupadd --gid 10001 llm-stream \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/llm-stream llm-stream \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/llm-stream
COPY --from=build /opt/llm-stream /opt/llm-stream
# A container is reached from outside of it, so it asks for client keys.
ENV PATH=/opt/llm-stream/bin:$PATH \
    XDG_DATA_HOME=/opt/llm-stream/share \
    LLM_USER_PATH=/var/lib/llm-stream \
    LLM_STREAM__SERVER__HOST=0.0.0.0 \
    LLM_STREAM__AUTH__REQUIRED=true \
    LLM_STREAM__LOGGING__FORMAT=json
USER 10001:10001
VOLUME /var/lib/llm-stream
EXPOSE 8080
# Without a Host header, which server.allowed_hosts might refuse.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import socket; s = socket.create_connection(('127.0.0.1', 8080), 4); s.sendall(b'GET /livez HTTP/1.0\\r\\n\\r\\n'); raise SystemExit(b' 200 ' not in s.recv(64))"]
ENTRYPOINT ["llm-stream"]
CMD ["serve"]
