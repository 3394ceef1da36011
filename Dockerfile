# One image serves the api, the chunk service and the workers; docker-compose.yml says which process a container runs.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    UVICORN_HTTP=gridhaul.asgi.http_protocol:BoundedHttp \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /app

COPY requirements.txt .
RUN pip install -r requirements.txt

COPY pyproject.toml .
COPY LICENSE .
COPY api api
COPY chunk_service chunk_service
COPY tasks tasks
COPY gridhaul gridhaul
COPY web web
# The build of the wheel also builds the page. Node, which it needs, stays in pip's own temporary environment.
RUN pip install --no-deps .

# No process needs to be root. docker-compose.yml replaces this user by the owner of the source files.
USER 1000:1000

# uvicorn and celery both shut down gracefully on SIGTERM.
STOPSIGNAL SIGTERM

CMD ["uvicorn", "api.app:app", "--host", "0.0.0.0", "--port", "8000"]
