# Every part of the service in one image; docker-compose.yml says which part a container is.
#   docker build --build-arg TORCH=cpu .     PyTorch for CPU hosts (some 2 GB), or TORCH=cuda for NVIDIA GPUs (some 9 GB)
# No package of Debian is needed: the wheels bring their libraries (libpq and HAProxy as well), the GPU's driver is the
# host's, mounted by the NVIDIA container toolkit.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV RAY_USAGE_STATS_ENABLED=0 MLFLOW_DISABLE_TELEMETRY=true

WORKDIR /opt/fusegpt
COPY pyproject.toml constraints.txt ./

# The dependencies before the code: they are 99 % of the image, and change seldom.
ARG TORCH=cpu
RUN if [ "$TORCH" = cpu ]; then \
      pip install --no-deps --index-url https://download.pytorch.org/whl/cpu -c constraints.txt torch torchvision; \
    fi \
 && python -c "import tomllib; of = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = of['optional-dependencies']; \
print(*of['dependencies'], *extras['openvino'], *extras['grpc'], sep='\n')" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt

COPY README.md ./
COPY src src
COPY experiments experiments
COPY service service
RUN pip install -c constraints.txt .

# The image holds no git; runs tell by this which code they are of.
ARG COMMIT=""
ENV FUSEGPT_COMMIT=$COMMIT

# A named volume takes its owner from the folder of the image that it is first mounted on.
RUN useradd --uid 1000 --create-home fusegpt \
 && install -d -o fusegpt -g fusegpt /var/lib/fusegpt /var/lib/mlflow
USER fusegpt
WORKDIR /home/fusegpt
CMD ["fusegpt", "--help"]
