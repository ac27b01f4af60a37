# docker build -t evodenoise .
# docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" evodenoise noisy.png -o clean.png
# Another build of PyTorch (CUDA, or a smaller one for CPUs): --build-arg TORCH="torch==2.9.0 --index-url ADDRESS"

# This image has git, which tells the version.
FROM python:3.12 AS wheel
COPY . /src
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel /src

FROM python:3.12-slim
ARG TORCH="torch>=2.4"
RUN python -m pip install --no-cache-dir ${TORCH}
COPY --from=wheel /wheel /wheel
RUN python -m pip install --no-cache-dir "$(echo /wheel/*.whl)[fits,zarr]"
# Whoever runs it has a home to write to.
ENV HOME=/tmp
WORKDIR /data
ENTRYPOINT ["evodenoise"]
