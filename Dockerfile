# mcld and its page, as `make setup` installs them; on a CPU, unless told otherwise.
#
#   docker build --tag mcld .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/data" mcld sample --source me.jpg --pose walking --out out.png
#   docker run --rm --publish 127.0.0.1:7860:7860 mcld studio --no-browser --host 0.0.0.0
#
# For a GPU, with PyTorch's usual build: docker build --build-arg TORCH_INDEX= --tag mcld .
# and docker run --gpus all.
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# First what changes least: PyTorch, then what else is installed, then mcld itself.
WORKDIR /opt/mcld
COPY constraints.txt ./
RUN grep -E '^torch(vision)?==' constraints.txt > torch.txt \
    && pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r torch.txt
COPY . .
# insightface asks for an OpenCV that needs a desktop's libraries; ours, the headless one, does as well.
RUN pip install --no-cache-dir -c constraints.txt '.[c2pa,studio]' onnx requests scikit-image \
    && pip install --no-cache-dir -c constraints.txt --no-deps insightface

RUN useradd --create-home --uid 1000 mcld \
    && install --directory --owner mcld --group mcld /data
USER 1000
WORKDIR /data
VOLUME /data
EXPOSE 7860
ENTRYPOINT ["mcld"]
CMD ["--help"]
