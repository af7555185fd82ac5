# The image of the service, which can also train: the one-shot `prepare` of docker-compose.yml runs in it too.
#
#   docker compose up              trains on a drawn catalogue the first time, then serves http://127.0.0.1:8000
#   docker build -t solemate .     the image alone
#
# TORCH_INDEX is the package index that torch and torchvision come from. The default one has builds for the CPU, some
# gigabytes smaller than those with CUDA; for a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130

FROM python:3.11-slim-bookworm AS builder
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src

# Dependencies in layers of their own, first the largest: they are built again only when their versions change.
COPY constraints.txt ./
# Only these two are looked for in that index, hence --no-deps. Where it can't be reached, torch comes with the rest
# below, as pip is configured: a larger image, but one that works.
RUN pip install --no-deps --retries 2 --index-url "$TORCH_INDEX" -c constraints.txt torch torchvision \
    || echo "WARNING: no torch from $TORCH_INDEX; taking it from the default index" >&2
COPY pyproject.toml ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
extras = project["optional-dependencies"]; \
wanted = [each for name in ("model", "service", "milvus", "training") for each in extras[name]]; \
print(*(each for each in wanted if not each.startswith("solemate[")), sep="\n")' >requirements.txt \
    && pip install -c constraints.txt -r requirements.txt

COPY README.md LICENSE ./
COPY model model
COPY training training
COPY service service
COPY solemate solemate
RUN pip install --no-deps .


FROM python:3.11-slim-bookworm
# A fixed uid, so that the owner of a volume or a mounted folder can be set to it.
RUN groupadd --gid 10001 solemate \
    && useradd --uid 10001 --gid solemate --home-dir /app --no-create-home --shell /usr/sbin/nologin solemate \
    && install -d -o solemate -g solemate /app/artifacts
COPY --from=builder /opt/venv /opt/venv
COPY scripts/lib.sh scripts/launch.py scripts/prepare /app/scripts/
WORKDIR /app
# The root file system may be read-only: what libraries want to cache goes to /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    SOLEMATE_PYTHON=/opt/venv/bin/python \
    SOLEMATE_HOST=0.0.0.0 \
    SOLEMATE_PORT=8000 \
    SOLEMATE_CHECKPOINT=/app/artifacts/checkpoint \
    SOLEMATE_INDEX=/app/artifacts/catalog
USER 10001:10001
VOLUME /app/artifacts
EXPOSE 8000
STOPSIGNAL SIGTERM
# The image has no curl. /readyz sends a picture through the network and the index. A SOLEMATE_PORT that is empty, or set
# by Kubernetes for a Service of that name, counts as none, as it does for the service.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-I", "-c", "\
import http.client, os, sys; \
port = os.environ.get('SOLEMATE_PORT', ''); \
service = http.client.HTTPConnection('127.0.0.1', int(port) if port.isdecimal() else 8000, timeout=4); \
service.request('GET', '/readyz'); \
sys.exit(service.getresponse().status != 200)"]
CMD ["solemate", "serve"]
