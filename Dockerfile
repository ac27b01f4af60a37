# docker build -t evodenoise . && docker run --rm -v "$PWD:/data" evodenoise noisy.png -o clean.png
# Another build of PyTorch (CUDA, or a smaller one for CPUs): --build-arg TORCH="torch==2.9.0 --index-url ADDRESS"
FROM python:3.12-slim
ARG TORCH="torch>=2.4"
RUN python -m pip install --no-cache-dir ${TORCH}
COPY . /src
RUN python -m pip install --no-cache-dir '/src[fits,zarr]' && rm -r /src
WORKDIR /data
ENTRYPOINT ["evodenoise"]
