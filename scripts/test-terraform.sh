#!/bin/bash
# Checks everything under terraform/: format, then init and test of every module and environment (with mocked providers: no
# account, no call), then checkov. Where terraform, its AWS provider or checkov cannot be had, that is said and skipped;
# PILOTLIGHT_REQUIRE with terraform in it makes it an error instead.
# The provider comes from where the user's own configuration of terraform says (TF_CLI_CONFIG_FILE, ~/.terraformrc), or
# from the folder that PILOTLIGHT_TERRAFORM_PLUGINS names. Nothing is written into the working tree.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
started=$SECONDS
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { echo "pilotlight: $*"; }

# Says what cannot be had; where it is required, that is an error.
lacks() {
    say "$*"
    case ",${PILOTLIGHT_REQUIRE:-}," in *,-terraform,*) ;; *,terraform,* | *,all,*) exit 1 ;; esac
}

skip() {
    lacks "terraform is not tested: $*"
    exit 0
}

command -v terraform >/dev/null 2>&1 || skip "terraform was not found"
terraform fmt -check -recursive -diff terraform || { say "terraform fmt -recursive terraform"; exit 1; }

# Copies, so that neither lock files nor data of providers are left in the tree.
cp -R terraform "$scratch/terraform"
# What the environments' tests compare with.
cp -R examples "$scratch/examples"
options=(-backend=false -input=false -no-color)
if [ -n "${PILOTLIGHT_TERRAFORM_PLUGINS:-}" ]; then
    options+=("-plugin-dir=$PILOTLIGHT_TERRAFORM_PLUGINS")
fi
export scratch
export CHECKPOINT_DISABLE=1
folders=$(cd terraform && find . -name '*.tftest.hcl' -path '*/tests/*' | sed 's|/tests/[^/]*$||; s|^\./||' | sort -u)
first=$(printf '%s\n' "$folders" | head -n 1)
# A registry that does not answer must not cost the whole time.
if ! timeout 180 terraform -chdir="$scratch/terraform/$first" init "${options[@]}" >"$scratch/init.log" 2>&1; then
    grep -A 4 '^Error' "$scratch/init.log" || tail -n 5 "$scratch/init.log"
    skip "its AWS provider cannot be had (PILOTLIGHT_TERRAFORM_PLUGINS may name a folder that holds it)"
fi

# One folder: init, and its tests, which validate first.
one() {
    local folder=$1 log="$scratch/${1//\//-}.log" status=0
    shift
    {
        terraform -chdir="$scratch/terraform/$folder" init "$@" &&
            terraform -chdir="$scratch/terraform/$folder" test -no-color
    } >"$log" 2>&1 || status=1
    if [ "$status" = 0 ]; then
        echo "ok   $folder: $(grep -E '^Success!' "$log" | tail -n 1)"
    else
        echo "FAIL $folder"
        cat "$log"
    fi
    return "$status"
}
export -f one
printf '%s\n' "$folders" | xargs -P "$(nproc)" -I '{}' bash -c 'one "$@"' _ '{}' "${options[@]}"

# Every module that can be used has tests.
for folder in terraform/modules/* terraform/environments/*; do
    [ -d "$folder" ] || continue
    ls "$folder"/tests/*.tftest.hcl >/dev/null 2>&1 || { say "$folder has no tests"; exit 1; }
done

environment=${CARGO_TARGET_DIR:-$root/target}/checkov
wanted=checkov==3.3.30
if [ ! -x "$environment/bin/checkov" ] || [ "$(cat "$environment/wanted" 2>/dev/null)" != "$wanted" ]; then
    say "making the environment of checkov in $environment"
    rm -rf "$environment"
    mkdir -p "$(dirname "$environment")"
    if python3 -m venv "$environment" && timeout 300 "$environment/bin/pip" install --quiet --disable-pip-version-check "$wanted"; then
        echo "$wanted" >"$environment/wanted"
    else
        rm -rf "$environment"
    fi
fi
if [ -x "$environment/bin/checkov" ]; then
    "$environment/bin/checkov" --directory terraform --framework terraform --skip-download --quiet --compact
    say "checkov finds nothing"
else
    lacks "checkov cannot be had; its rules are not checked"
fi
say "terraform: tested in $((SECONDS - started)) s"
