# What the findings share: a temporary folder, environments with pinned packages, one comparison.
set -euo pipefail
header=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error PIP_DISABLE_PIP_VERSION_CHECK=1

# environment NAME PACKAGE==VERSION...: makes NAME/bin/python with these packages; not compiling them saves time.
environment() {
  python3 -m venv "$1"
  "$1/bin/python" -m pip install -q --no-compile "${@:2}"
}

# unchanged: the file `seen` must be what the lines `#> ` of the script's header say.
unchanged() {
  sed -n 's/^#> \{0,1\}//p' "$header" > stated
  diff -u --label 'in the header' --label 'seen now' stated seen || {
    echo "changed: $(basename "$header" .sh)" >&2
    exit 1
  }
}
