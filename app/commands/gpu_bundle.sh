#!/usr/bin/env bash
# Go on with the training run of this bundle: check the files, unpack the wheels of what this machine lacks, train, and
# copy the checkpoint out.  The next call goes on from there.
#
# Usage: bash run.sh [SECONDS, default 540] [more options of `shapespace train`]
# Environment: PYTHON (python3, one that has torch), DEVICE (cuda), OUT (./out).
set -euo pipefail
seconds=${1:-540}
shift || true
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
mkdir -p "${OUT:=$PWD/out}"
OUT=$(cd "$OUT" && pwd)

"$python" - "$here" <<'PYTHON_END'
import importlib.util, json, pathlib, sys, zipfile
here = pathlib.Path(sys.argv[1])
about = json.loads((here / "manifest.json").read_text())
lost = [n for n, size in about["files"].items() if not (here / n).is_file()
        or (n.endswith((".whl", ".npz")) and (here / n).stat().st_size != size)]
if lost:
    named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
    sys.exit(f"missing or cut short: {named}; unpack every part of the bundle into one folder")
for module, name in about["wheels"].items():
    if importlib.util.find_spec(module) or (here / "site" / module).exists():
        continue
    if about["python"] != f"{sys.version_info.major}.{sys.version_info.minor}":
        sys.exit(f"{module} is missing and its wheel is for Python {about['python']}; choose another PYTHON")
    zipfile.ZipFile(here / "wheels" / name).extractall(here / "site")  # a wheel is a zip; no pip is needed
PYTHON_END

export PYTHONPATH="$here/code:$here/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# torch.compile needs a compiler; without one the plain network does the same, slower.
[ -n "$(command -v "${CC:-cc}" || command -v gcc || command -v clang || true)" ] || export TORCHDYNAMO_DISABLE=1
progress() { cat "$here/run/checkpoint/progress.json" 2>/dev/null || echo "no checkpoint"; }
before=$(progress)
echo "before: $before"
code=0
(
    cd "$here/code"
    timeout --signal=TERM --kill-after=60 "$seconds" "$python" -c 'from app.cli import main; main()' train \
        --config "$here/run/config.json" --out "$here/run" --device "${DEVICE:-cuda}" "$@"
) || code=$?
echo "after: $(progress)"
for name in checkpoint config.json log.jsonl; do
    if [ -e "$here/run/$name" ]; then cp -r "$here/run/$name" "$OUT/"; fi
done
[ "$code" -eq 0 ] || [ "$code" -eq 124 ] || exit "$code" # 124: the time was up
if [ "$before" = "$(progress)" ]; then
    echo "no step was added: $seconds s are too few, or the budget of the run is spent (raise it with --budget-s)" >&2
    exit 1
fi
