#!/bin/sh
# What has to be found out on an NVIDIA GPU, in three calls of at most ten minutes each:
#
#   tools/gpu_session.sh check     every test of the GPU path, whole inspections, gsplat's compilation, its descent
#   tools/gpu_session.sh measure   times: alignments, inspections, stages, images in batches
#   tools/gpu_session.sh prove     accuracy beside the CPU's, memory over 10,000 inspections
#
# Each prints the benchmark's line of JSON, also where a part failed (`failed` names it) or ran out of time.
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

# A call is cut off after ten minutes, and what a killed pipeline printed is lost with it: every step ends before that.
END=$(($(date +%s) + ${SECONDS_LEFT:-570}))
within() {
    left=$((END - $(date +%s)))
    [ "$left" -gt 20 ] || { echo "no time left for: $*"; return 1; }
    [ "$left" -lt "${MOST:-$left}" ] || left=${MOST:-$left}
    timeout -k 10 "$left" "$@"
}

describe() {
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "no nvidia-smi"
    "$PYTHON" -c 'import sys, torch; print("Python", sys.version.split()[0], "torch", torch.__version__, "GPU:",
        torch.cuda.is_available())'
    "$PYTHON" -c 'import triton; print("triton", triton.__version__)' || echo "no triton"
}

compile_gsplat() {
    start=$(date +%s)
    within "$PYTHON" -c 'from gsplat.cuda._backend import _C; assert _C is not None, "no CUDA compiler"' \
        > "$OUT/gsplat.log" 2>&1 \
        && echo "gsplat compiled in $(($(date +%s) - start)) s" || { echo "gsplat: failed"; tail -20 "$OUT/gsplat.log"; }
}

tests() {
    (MOST=200; within "$PYTHON" -m pytest -q -rs -p no:cacheprovider "$@") || echo "FAILED: see above"
}

bench() {
    within "$PYTHON" -m benchmarks.bench_gpu "$@" || [ "$?" = 1 ] || echo "bench_gpu: killed"
}

case "${1:-}" in
check)
    describe | tee "$OUT/machine.txt"
    compile_gsplat > "$OUT/gsplat.txt" &
    tests tests/test_gpu_kernels.py tests/test_gpu_cuda.py tests/test_gpu_surface.py tests/test_gpu_network.py \
        tests/test_gpu_device.py tests/test_gpu_recordings.py 2>&1 | tee "$OUT/tests.txt"
    tests tests/test_gpu_arithmetic.py tests/test_gpu_search.py tests/test_gpu_no_waiting.py 2>&1 | tee -a "$OUT/tests.txt"
    wait
    cat "$OUT/gsplat.txt"
    tests tests/test_gpu_descent.py 2>&1 | tee -a "$OUT/tests.txt"
    bench --parts whole images adam 2>&1 | tee "$OUT/whole.txt"
    ;;
measure)
    describe | tee "$OUT/machine.txt"
    bench --parts whole search images 2>&1 | tee "$OUT/whole.txt"
    bench --parts stages --repeats 10 2>&1 | tee "$OUT/stages.txt"
    ;;
prove)
    describe | tee "$OUT/machine.txt"
    bench --parts accuracy --pairs "${PAIRS:-30}" --soak "${SOAK:-10000}" 2>&1 | tee "$OUT/accuracy.txt"
    ;;
*)
    echo "usage: [PYTHON=python3] [WHEELS=FOLDER] [OUT=out/gpu] $0 check|measure|prove" >&2
    exit 2
    ;;
esac
