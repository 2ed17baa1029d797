# One image for every part: its command is what `tally` is told. docs/operations.md, "With Docker".
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/tallystick
# First the locked packages, each held to its hash: this layer lasts until the lock changes.
COPY requirements.lock ./
RUN /opt/tallystick/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements.lock
# Then ourselves, with nothing fetched for it.
COPY pyproject.toml README.md LICENSE ./
COPY api/ api/
COPY application/ application/
COPY domain/ domain/
COPY infrastructure/ infrastructure/
COPY projections/ projections/
RUN /opt/tallystick/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN groupadd --gid 10001 tally \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin tally
# It belongs to root: what runs can't change what it runs.
COPY --from=build /opt/tallystick /opt/tallystick
ENV PATH=/opt/tallystick/bin:$PATH PYTHONUNBUFFERED=1
# A number, so that an orchestrator can see that it isn't root.
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["tally"]
CMD ["--help"]
