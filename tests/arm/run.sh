#!/bin/sh
# Run the tests of the C kernels for 64-bit ARM under user-mode emulation, and compare 20 training steps with this machine's.
#
#   tests/arm/run.sh FOLDER PYTHON [ARGUMENT OF PYTEST ...]
#
# FOLDER receives an aarch64 environment of Debian's Python and of PyPI's wheels, in the versions that PYTHON has. Without arguments of
# pytest all three test files run. Where a tool is missing nothing runs, and the status is 0.
set -eu
folder=$1 python=$2
shift 2
cd "$(dirname "$0")/../.."
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
root=$folder/root packages=$folder/packages
compiler=aarch64-linux-gnu-gcc

for tool in qemu-aarch64 $compiler apt-get dpkg; do
  if ! command -v $tool >/dev/null; then
    echo "test-arm: skipped, there is no $tool. On Debian: apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
    exit 0
  fi
done

# apt-get with lists of its own from this machine's sources: its package lists and architectures stay as they are
install_python() {
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial" "$root"
  : >"$folder/apt/status"
  cat >"$folder/apt/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt";
EOF
  APT_CONFIG=$folder/apt/apt.conf apt-get -qq update
  APT_CONFIG=$folder/apt/apt.conf apt-get -qq --yes --download-only install python3.11 libgomp1 libstdc++6
  for package in "$folder"/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
}

install_packages() {
  names='torch|numpy|pytest|pluggy|iniconfig|packaging|pygments|hypothesis|sortedcontainers'
  names="$names|typing_extensions|sympy|mpmath|networkx|jinja2|markupsafe|filelock|fsspec"
  "$python" -m pip freeze | grep -iE "^($names)==" | sed 's/+.*//' >"$folder/requirements.txt"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --target "$packages" \
    --python-version 3.11 --implementation cp --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 -r "$folder/requirements.txt"
}

# PyPI's torch for aarch64 is linked with CUDA, 3 GB of libraries that nothing here calls. One library stands for all of them: each of its
# functions returns 100, cudaErrorNoDevice.
replace_cuda() {
  (
    cd "$packages/torch/lib"
    aarch64-linux-gnu-nm -D --undefined-only ./*.so | sed -nE 's/^ +[Uw] ((__)?(cu|nccl|nv)[A-Za-z0-9_]*)@*([^ ]*).*/\1 \4/p' |
      sort -u >"$folder/symbols"
    awk '{print "long " $1 "(void) { return 100; }"}' "$folder/symbols" >"$folder/no_cuda.c"
    awk '$2 {of[$2] = of[$2] $1 ";"} END {for (version in of) print version " {" of[version] "};"}' "$folder/symbols" >"$folder/no_cuda.map"
    aarch64-linux-gnu-readelf -d ./*.so | sed -nE 's/.*NEEDED.*\[(lib(cu|nccl|nv).*)\]/\1/p' | sort -u >"$folder/libraries"
    $compiler -w -shared -fPIC -fno-builtin "$folder/no_cuda.c" -Wl,--version-script="$folder/no_cuda.map" -o libno_cuda.so
    while read -r name; do [ -e "$name" ] || ln -s libno_cuda.so "$name"; done <"$folder/libraries"
  )
}

# torch's libraries read the processor's type from these files, and end with the process where they describe an x86
describe_processor() {
  identification=$root/sys/devices/system/cpu/cpu0/regs/identification
  mkdir -p "$root/proc" "$identification"
  echo 0x00000000410fd083 >"$identification/midr_el1"
  for number in $(seq 0 $(($(nproc) - 1))); do
    printf 'processor\t: %s\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\n' "$number"
    printf 'CPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
  done >"$root/proc/cpuinfo"
}

emulated() {
  env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE PATH="$folder/bin:$PATH" PYTHONPATH="$packages:$PWD" OMP_NUM_THREADS=1 \
    CC=$compiler BUDGETNET_MARCH=armv8-a BUDGETNET_CACHE="$folder/cache" QEMU_CPU=cortex-a72 QEMU_LD_PREFIX="$root" \
    qemu-aarch64 "$root/usr/bin/python3.11" "$@"
}

made_from="$("$python" -c 'import torch; print(torch.__version__)') $(cksum <"$0")"
if [ "$(cat "$folder/ready" 2>/dev/null)" != "$made_from" ]; then
  rm -rf "$root" "$packages" "$folder/apt" "$folder/bin"
  install_python
  install_packages
  replace_cuda
  describe_processor
  mkdir -p "$folder/bin"
  if command -v clang >/dev/null; then
    printf '#!/bin/sh\nexec %s --target=aarch64-linux-gnu "$@"\n' "$(command -v clang)" >"$folder/bin/clang"
    chmod +x "$folder/bin/clang"
  fi
  echo "$made_from" >"$folder/ready"
fi

"$python" -m tests.arm.training "$folder/this-machine.pt"
emulated -m tests.arm.training "$folder/arm.pt" --equals "$folder/this-machine.pt"
[ $# -gt 0 ] || set -- tests/test_engine_cpu.py tests/test_engine_cpu_lowering.py tests/test_engine_cpu_passes.py
# conftest.py imports the command line, and with it libraries that these tests do not need
emulated -m pytest -p no:cacheprovider --noconftest -p tests.arm.profile "$@"
