# Shared by the scripts beside it: `source` it, it does nothing by itself.
# shellcheck shell=bash

# Prints a step, so that a long run shows where it is.
step() {
    printf '\n== %s\n' "$*"
}

# Ends the script with a message on standard error.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Ends the script unless Rust and Node are here: installing those is the user's choice.
need_toolchains() {
    command -v cargo >/dev/null || die 'cargo is missing: install Rust from https://rustup.rs'
    command -v node >/dev/null || die 'node is missing: install Node 20.19 or newer'
    command -v npm >/dev/null || die 'npm is missing: it comes with Node'
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
        die "node is $(node --version): 20.19 or newer is needed"
}

# Runs a command with the rights of root, without asking where nobody can answer.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif ! command -v sudo >/dev/null; then
        die "this needs root, and there is no sudo: $*"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Installs what is missing of `command=package` pairs, by one call of apt-get. A command that is not in everybody's PATH
# is named by its file.
install_tools() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || packages+=("${pair#*=}")
    done
    if [[ ${#packages[@]} -eq 0 ]]; then
        return
    fi
    command -v apt-get >/dev/null || die "install these first, there is no apt-get: ${packages[*]}"
    step "Installing ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null
}

# Installs the packages that the lock file of a folder names, unless they are there.
npm_packages() {
    if [[ $1/node_modules/.package-lock.json -nt $1/package-lock.json ]]; then
        return
    fi
    step "Installing the packages of $1"
    npm ci --prefix "$1" --no-audit --no-fund --loglevel=error </dev/null
}

# Builds a folder with a `build` script, its packages first.
npm_build() {
    npm_packages "$1"
    step "Building $1"
    npm run --silent --prefix "$1" build </dev/null
}
