#!/bin/sh
# What has to be found out on an NVIDIA GPU, in three calls of at most ten minutes each:
#
#   tools/gpu_session.sh check     every test of the GPU path, gsplat's compilation, the paper's descent
#   tools/gpu_session.sh measure   times: alignments, stages, images in batches
#   tools/gpu_session.sh prove     accuracy beside the CPU's, memory over 10,000 alignments
#
# PYTHON  a Python with torch and triton for the GPU, numba, scipy, OpenCV, pytest, ninja (python3)
# WHEELS  a folder of wheels that it lacks; they are installed beside it, nothing is fetched
# OUT     where reports go (out/gpu)
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-out/gpu}
mkdir -p "$OUT"
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD"
export TORCH_CUDA_ARCH_LIST="${TORCH_CUDA_ARCH_LIST:-9.0}" MAX_JOBS="${MAX_JOBS:-$(nproc)}"
if [ -n "${WHEELS:-}" ]; then
    SITE=${SITE:-${TMPDIR:-/tmp}/gpu-site}
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$SITE" "$WHEELS"/*.whl
    PYTHONPATH="$PWD:$SITE"
fi

describe() {
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "no nvidia-smi"
    "$PYTHON" -c 'import sys, torch; print("Python", sys.version.split()[0], "torch", torch.__version__, "GPU:",
        torch.cuda.is_available())'
    "$PYTHON" -c 'import triton; print("triton", triton.__version__)' || echo "no triton"
}

compile_gsplat() {
    start=$(date +%s)
    "$PYTHON" -c 'from gsplat.cuda._backend import _C; assert _C is not None, "no CUDA compiler"' > "$OUT/gsplat.log" 2>&1 \
        && echo "gsplat compiled in $(($(date +%s) - start)) s" || { echo "gsplat: failed"; tail -20 "$OUT/gsplat.log"; }
}

tests() {
    timeout 270 "$PYTHON" -m pytest -q -rs -p no:cacheprovider "$@" || echo "FAILED: see above"
}

bench() {
    timeout 540 "$PYTHON" -m benchmarks.bench_gpu "$@" || echo "bench_gpu: failed"
}

case "${1:-}" in
check)
    describe | tee "$OUT/machine.txt"
    compile_gsplat > "$OUT/gsplat.txt" &
    tests tests/test_gpu_kernels.py tests/test_gpu_cuda.py tests/test_gpu_device.py tests/test_gpu_recordings.py \
        2>&1 | tee "$OUT/tests.txt"
    wait
    cat "$OUT/gsplat.txt"
    tests tests/test_gpu_descent.py tests/test_gpu_arithmetic.py tests/test_gpu_search.py tests/test_gpu_no_waiting.py \
        2>&1 | tee -a "$OUT/tests.txt"
    bench --parts adam whole 2>&1 | tee "$OUT/adam.txt"
    ;;
measure)
    describe | tee "$OUT/machine.txt"
    bench --parts whole search images 2>&1 | tee "$OUT/whole.txt"
    bench --parts stages --repeats 10 2>&1 | tee "$OUT/stages.txt"
    ;;
prove)
    describe | tee "$OUT/machine.txt"
    bench --parts accuracy --pairs "${PAIRS:-40}" --soak "${SOAK:-10000}" 2>&1 | tee "$OUT/accuracy.txt"
    ;;
*)
    echo "usage: [PYTHON=python3] [WHEELS=FOLDER] [OUT=out/gpu] $0 check|measure|prove" >&2
    exit 2
    ;;
esac
