# The paper's figures from a container: docs/how-to/containers.md says how to build and run it.
# The base is pinned by its full tag; for the very same bytes add the digest that `docker buildx imagetools inspect` prints:
# --build-arg BASE=docker.io/library/python:3.11.17-slim-bookworm@sha256:…
ARG BASE=docker.io/library/python:3.11.17-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
ENV PIP_PYTHON=/opt/venv/bin/python PIP_CONSTRAINT=/build/constraints.txt PIP_NO_CACHE_DIR=1
# The index that torch and torchvision come from, at the lock file's versions: by default without CUDA.
# With CUDA: --build-arg TORCH_INDEX= (empty: the same index as all other packages).
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY pyproject.toml constraints.txt ./
# Test suites and C++ headers are a tenth of the image, and nothing in it reads them.
RUN python3 -m venv --without-pip /opt/venv \
 && python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
 && python3 -m pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --no-deps torch torchvision \
 && python3 -m pip install -r requirements.txt \
 && find /opt/venv -type d \( -name tests -o -path '*/torch/include' \) -prune -exec rm -r {} +
COPY README.md LICENSE ./
COPY conf conf
COPY src src
RUN python3 -m pip install --no-deps .

FROM ${BASE}
# Any user that `docker run --user` names may write to both folders; outputs/ is a link to the mounted one.
RUN useradd --uid 1000 --home-dir /home/clip --no-create-home --shell /usr/sbin/nologin clip \
 && mkdir -p -m 1777 /home/clip /outputs \
 && ln -s /outputs /home/clip/outputs
COPY --from=build /opt/venv /opt/venv
COPY docker/reproduce.py /opt/reproduce.py
ARG COMMIT=
LABEL org.opencontainers.image.revision=${COMMIT}
ENV PATH=/opt/venv/bin:$PATH HOME=/home/clip INTRINSIC_CLIP_COMMIT=${COMMIT}
USER clip
WORKDIR /home/clip
STOPSIGNAL SIGINT
ENTRYPOINT ["python", "/opt/reproduce.py"]
